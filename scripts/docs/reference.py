"""Writes docs/reference/ from the code: every command with its options, every key of the recipes, and the names that Python users get.

python scripts/docs/reference.py [--check]
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from typing import Any

import typer.main
from written_pages import ROOT, write_or_check

import hf_bones
from hf_bones.cli.main import app
from hf_bones.collect.providers.registry import provider_class, provider_names
from hf_bones.collect.recipe import CollectRecipe, FetchSettings, LicenceSettings, QuerySpec
from hf_bones.config.recipe import STAGES, SearchConfig
from hf_bones.curation.recipe import CheckSettings, DedupSettings, OpinionSettings, SplitSettings
from hf_bones.evaluation.calibrate.recipe import CostSettings, ScalingSettings, SetSettings
from hf_bones.evaluation.gate.settings import GateSettings

WRITTEN = "<!-- Written by scripts/docs/reference.py: change the code, and run it. -->"
EVERY_COMMAND = """Every command takes `--help`, which says the same; `--json` prints the result as one JSON document and all else to
stderr; `--quiet` prints the result alone. A list takes several words after its option. `--flag` has its `--no-flag`."""
ABOUT_KEYS = """A recipe is one YAML file. What stands in it is checked when it is read: an unknown key is an error that names the nearest
known one. `hf-bones recipes` lists those that ship; [recipes](../recipes.md) says what each is for."""
ABOUT_TRAINING = """`name` and `description`, and a section for each stage. On the command line a key is an option of `hf-bones train`:
`image_size` is `--image-size`. Keys that do not go together are refused, both being named."""
ABOUT_PYTHON = """These names are promised: `from hf_bones import …`. All else may change between versions. The site shows their signatures
and an example each; on GitHub read `hf_bones/__init__.py`, which says where each stands."""
ALWAYS = ("--json", "-q, --quiet", "-h, --help")
WORDS_OF_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "yes or no", "Path": "path"}
CURATION = {"checks": CheckSettings, "dedup": DedupSettings, "split": SplitSettings, "opinions": OpinionSettings}
CALIBRATION = {"scaling": ScalingSettings, "sets": SetSettings, "costs": CostSettings, "gate": GateSettings}
COLLECTION = {"fetch": FetchSettings, "licences": LicenceSettings, "queries": QuerySpec}


def commands_page() -> str:
    """Every command that `hf-bones --help` shows, in its order, with arguments and options in their sections."""
    root = typer.main.get_command(app)
    context = root.make_context("hf-bones", [], resilient_parsing=True)
    lines = ["# Commands", "", WRITTEN, "", EVERY_COMMAND, "", str(root.epilog)]
    for name, command in visible(root, context):
        if hasattr(command, "list_commands"):
            inner = command.make_context(name, [], parent=context, resilient_parsing=True)
            lines += ["", f"## hf-bones {name}", "", str(command.help)]
            for own, leaf in visible(command, inner):
                lines += ["", f"### hf-bones {name} {own}", "", *command_lines(leaf, f"hf-bones {name} {own}", inner)]
        else:
            lines += ["", f"## hf-bones {name}", "", *command_lines(command, f"hf-bones {name}", context)]
    return "\n".join(lines) + "\n"


def visible(group: Any, context: Any) -> Iterator[tuple[str, Any]]:
    """The commands of a group that its help shows."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if not command.hidden:
            yield name, command


def command_lines(command: Any, name: str, parent: Any) -> list[str]:
    """Help, usage and options of one command, without the options that every command has and those that are keys of a recipe."""
    context = command.make_context(name.split()[-1], [], parent=parent, resilient_parsing=True)
    required = [param for param in command.get_params(context) if param.required and param.param_type_name == "option"]
    usage = [name, *command.collect_usage_pieces(context)[1:], *(f"{param.opts[0]} {param.metavar}" for param in required)]
    rows: dict[str, list[str]] = {}
    for title, (spelling, meaning) in command.help_rows(context):
        if not spelling.startswith(ALWAYS):
            rows.setdefault(title, []).append(f"| `{cell(spelling)}` | {cell(meaning)} |")
    lines = [str(command.help), "", "```text", " ".join(usage), "```"]
    for title in [title for title in rows if not title.endswith("(recipe)")]:
        lines += ["", f"| {title.lower().removesuffix('s')} | |", "| --- | --- |", *rows[title]]
    if any(title.endswith("(recipe)") for title in rows):
        lines += ["", "Every [key of a training recipe](recipe-keys.md#training) is an option, too."]
    return lines


def recipe_keys_page() -> str:
    """Every key of the four kinds of recipe: type, default, range and help, from the dataclasses that check them."""
    lines = ["# Recipe keys", "", WRITTEN, "", ABOUT_KEYS, "", "## Training", "", ABOUT_TRAINING]
    for section, kind in STAGES.items():
        lines += section_lines(section, kind)
    lines += ["", "### `trainer`", "", "Further fields of transformers' `TrainingArguments`, by their own names."]
    lines += [*section_lines("search", SearchConfig), "", "## Curation", "", "`hf-bones curate … --recipe FILE`."]
    for section, kind in CURATION.items():
        lines += section_lines(section, kind)
    lines += ["", "## Calibration", "", "`hf-bones calibrate … --recipe FILE`."]
    for section, kind in CALIBRATION.items():
        lines += section_lines(section, kind)
    lines += ["", "## Collection", "", "`hf-bones collect --recipe FILE`; `hf_bones/recipes/collect/bones.yaml` is written to be read.", ""]
    lines += keys_of(CollectRecipe)
    for section, kind in COLLECTION.items():
        lines += section_lines(section, kind)
    lines += ["", "### `providers`", "", "Each takes `enabled` and `limit`, and its own options:"]
    for name in provider_names():
        lines += section_lines(name, provider_class(name).options_type, depth=4)
    return "\n".join(lines) + "\n"


def section_lines(name: str, kind: Any, depth: int = 3) -> list[str]:
    """A section of a recipe under its heading."""
    return ["", f"{'#' * depth} `{name}`", "", *keys_of(kind)]


def keys_of(kind: Any) -> list[str]:
    """The docstring of a dataclass of options, and a table of its fields."""
    about = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    rows = []
    for key in dataclasses.fields(kind):
        if help := key.metadata.get("help"):
            within, choices = key.metadata.get("within"), key.metadata.get("choices") or ()
            allowed = [*(f"`{choice}`" for choice in choices), *([f"in {within}"] if within else [])]
            meaning = help + (f" One of: {', '.join(allowed)}." if choices else f" Range: {within}." if within else "")
            rows.append(f"| `{key.name}` | {type_words(str(key.type))} | {default_of(key)} | {cell(meaning)} |")
    return [about, *(["", "| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows] if rows else [])]


def type_words(written: str) -> str:
    """A type as a reader of YAML says it: `list[str]` is a list of text."""
    if written.startswith("dict"):
        return "mapping"
    name = written.removesuffix("| None").strip()
    items = re.fullmatch(r"(?:list|tuple)\[(\w+)(?:, \.\.\.)?\]", name)
    words = WORDS_OF_TYPES.get(items[1] if items else name, name)
    return ("list: " if items else "") + words + (", or empty" if written != name else "")


def default_of(key: dataclasses.Field[Any]) -> str:
    """The default as YAML has it; a dash where there is none."""
    default = key.default_factory() if key.default_factory is not dataclasses.MISSING else key.default
    if default in (None, dataclasses.MISSING, ""):
        return "–"
    return f"`{cell(str(default).lower() if isinstance(default, bool) else str(default))}`"


def python_page() -> str:
    """What `from hf_bones import …` gives; mkdocstrings reads signatures and docstrings when the site is built."""
    lines = ["# Python", "", WRITTEN, "", " ".join((hf_bones.__doc__ or "").split("\n\n")[0].split()), "", ABOUT_PYTHON]
    names = [name for name in hf_bones.__all__ if name != "__version__"]
    for name in sorted(names, key=lambda name: (name[0].isupper(), name)):
        lines += ["", f"::: hf_bones.{name}"]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"commands.md": commands_page, "recipe-keys.md": recipe_keys_page, "python.md": python_page}

if __name__ == "__main__":
    sys.exit(write_or_check({ROOT / "docs" / "reference" / name: page() for name, page in PAGES.items()}, __doc__))
