"""`hf-bones train` and `distill` as functions of their words."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from hf_bones.cli.commands import RecipeKeys, command
from hf_bones.cli.main import run
from hf_bones.cli.train import recipe_of
from hf_bones.config.recipe import Recipe


def main(words: Sequence[str]) -> int:
    return run("train", *words)


def distill_main(words: Sequence[str]) -> int:
    return run("distill", *words)


def parse_recipe(words: Sequence[str]) -> Recipe:
    """The recipe that the words of `hf-bones train` ask for, and nothing is trained."""
    found = []

    def read(keys: RecipeKeys) -> None:
        found.append(recipe_of(keys, "quickstart"))

    app = typer.Typer(rich_markup_mode=None)
    command(app, read)
    typer.main.get_command(app)(list(words), standalone_mode=False)
    return found[0]
