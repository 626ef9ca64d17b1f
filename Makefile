# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
MODEL ?= bundled
PIP_FLAGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
INSTALLED_DOCS := $(VENV)/.installed-docs

.PHONY: help install quickstart demo docs test lint clean

help:  ## show the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, this is {v.major}.{v.minor}; name one with make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e .
	@touch $@

$(INSTALLED_TEST): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[test]'
	@# Apart from the rest: with torchvision beside it, transformers would scale images by other means in all tests.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt --no-deps --upgrade --target $(VENV)/timm timm torchvision
	@touch $@

install: $(INSTALLED)  ## make .venv and install hf_bones with the tested versions

# The site is built from text and from source that is read, not imported: the rest need not be installed.
$(INSTALLED_DOCS): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"]))' > $@.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -r $@.txt
	@touch $@

quickstart: install  ## draw radiographs, build a dataset, fine-tune, evaluate
	$(BIN)/hf-bones quickstart

demo: install  ## open the demo in a browser (MODEL=folder, Hub id or bundled)
	$(BIN)/hf-bones demo --model $(MODEL)

docs: $(INSTALLED_DOCS)  ## build the site of docs/ in site/; a broken link is an error
	$(BIN)/zensical build --clean --strict

lint: $(INSTALLED_TEST)  ## style, types and import order
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## install what the tests need, then style, types and tests
	$(BIN)/python -m pytest -n auto

clean:  ## remove what the build and the tests left
	rm -rf build dist site .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
