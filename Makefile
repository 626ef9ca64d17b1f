# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
MODEL ?= bundled
PIP_FLAGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test

.PHONY: help install quickstart demo test lint clean

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

quickstart: install  ## draw radiographs, build a dataset, fine-tune, evaluate
	$(BIN)/hf-bones quickstart

demo: install  ## open the demo in a browser (MODEL=folder, Hub id or bundled)
	$(BIN)/hf-bones demo --model $(MODEL)

lint: $(INSTALLED_TEST)  ## style, types and import order
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## install what the tests need, then style, types and tests
	$(BIN)/python -m pytest -n auto

clean:  ## remove what the build and the tests left
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
