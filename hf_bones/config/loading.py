"""YAML of recipes: the files of others, those that ship with the package, and launch configurations."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from hf_bones.config.fields import RecipeError, nearest


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
    """What YAML text holds. Raises `RecipeError` naming `source` for text that is not YAML, and with its line for a key given twice."""
    try:
        return yaml.load(text, _OnceLoader)
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from error


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
