"""YAML of recipes: the files of others, those that ship with the package, and launch configurations. And the one way to parse YAML and JSON
that somebody else may have written: text of some kilobytes can be nested deeper than a program follows, or stand for gigabytes.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from hf_bones.config.fields import RecipeError, nearest

MOST_NODES = 1_000_000  # of a YAML text with everything put in that its aliases stand for
_TOO_DEEP = "it is nested too deeply: hundreds of brackets or levels within each other"


class _OnceLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice; YAML's own would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise RecipeError(f"line {key_node.start_mark.line + 1}: key {key!r} is given twice; take one of them out")
            seen.add(key if isinstance(key, Hashable) else None)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, source: str) -> Any:
    """What YAML text holds. Raises `RecipeError` naming `source` for text that is not YAML, with its line for a key given twice, and for
    text that is nested too deeply or whose aliases stand for too much."""
    try:
        loader = _OnceLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > MOST_NODES:
                raise RecipeError(f"its aliases (`*name`) stand for more than {MOST_NODES:,} values; write out what is meant")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None
    except RecursionError:
        raise RecipeError(f"{source}: {_TOO_DEEP}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from error


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for, itself included; a node within itself counts without end."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # while it is counted
        within: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            within = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            within = node.value
        known[id(node)] = 1 + sum(_size(each, known) for each in within)
    return known[id(node)]


def parse_json(text: str | bytes) -> Any:
    """What JSON text holds. Raises ValueError for text that is none, or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def read_recipe(name_or_path: str | Path, kind: str = "") -> tuple[Mapping[str, Any], str, Path | None]:
    """What the YAML of a recipe holds, how to call it in messages, and the folder of a file (None for a shipped one).

    Raises `RecipeError` naming the file, or the nearest shipped name.
    """
    text, path = str(name_or_path), Path(name_or_path)
    if path.is_file():
        try:
            return _mapping(path.read_text(encoding="utf-8"), text), text, path.parent
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{text}: cannot be read ({error})") from error
    known = recipe_names(kind)
    if text not in known:
        raise RecipeError(f"recipe {text!r} is neither a file nor one of: {', '.join(known)}{nearest(text, known)}")
    source = f"recipe {text!r}"
    return _mapping((_shipped(kind) / f"{text}.yaml").read_text(encoding="utf-8"), source), source, None


def _mapping(text: str, source: str) -> Mapping[str, Any]:
    data = parse_yaml(text, source)
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: expected a recipe, a mapping of keys to values, got {data!r}")
    return data


def recipe_names(kind: str = "") -> list[str]:
    """Names of the recipes that ship with the package: those of training, or of a `kind` that has a folder of its own."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _shipped(kind).iterdir() if entry.name.endswith(".yaml"))


def _shipped(kind: str) -> Traversable:
    folder = resources.files("hf_bones") / "recipes"
    return folder / kind if kind else folder


def launch_config(name: str) -> tuple[Path, str]:
    """The file of a launch configuration for `accelerate launch --config_file`, and for which machine it is (its first comment).

    Raises `RecipeError` naming those that there are.
    """
    known = recipe_names("accelerate")
    if name not in known:
        raise RecipeError(f"launch configuration {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    path = Path(str(_shipped("accelerate") / f"{name}.yaml"))
    with path.open(encoding="utf-8") as stream:
        return path, stream.readline().lstrip("# ").rstrip()
