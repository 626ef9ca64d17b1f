"""`hf-bones augment-check`: does a recipe's augmentation keep the break in view?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.errors import plain_errors


def augment_check(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DATASET]...", help="Folders that `hf-bones build` wrote, or Hub ids, with fracture boxes."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="Whose policy and input size: a shipped recipe's name, or a YAML file.")] = "bundled",
    out: Annotated[Path, typer.Option(help="Folder for augment_check.md, augment_check.json, a plot and contact sheets.")] = Path(
        "augment-check"
    ),
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a recipe's key, such as zoom=2; may be repeated."),
    ] = None,
    drawn: Annotated[int, typer.Option(help="Drawn radiographs to look at, 0 for none.", min=0)] = 40,
    draws: Annotated[int, typer.Option(help="Random draws of each transform on each film.", min=1)] = 100,
    looks: Annotated[int, typer.Option(help="How many of them are also looked at in pixels, for contrast.", min=0)] = 4,
    split: Annotated[str, typer.Option(help="Split of the datasets.")] = "train",
    limit: Annotated[int, typer.Option(help="At most so many films of each dataset.", min=1)] = 400,
    seed: Annotated[int, typer.Option(help="Seed of draws, drawn radiographs, choice of films and bootstrap.", min=0)] = 0,
    inside: Annotated[float, typer.Option(help="A draw is in view with this share of every break in the frame.")] = 0.9,
    in_view: Annotated[float, typer.Option(help="To pass: share of the draws in view.")] = 0.99,
    bend_degrees: Annotated[float, typer.Option(help="To pass: no angle changes by more than this, in 99 % of the draws.")] = 5.0,
    contrast: Annotated[float, typer.Option(help="To pass: 5th percentile of the break's contrast, after ÷ before.")] = 0.5,
) -> None:
    """Does augmentation keep the break in view, its contrast and its angles? Exits with 1 where the recipe's policy does not."""
    from hf_bones.config.recipe import load_recipe, override
    from hf_bones.evaluation.augmentation.check import MARKDOWN, check_augmentation
    from hf_bones.evaluation.augmentation.measure import Criteria
    from hf_bones.evaluation.augmentation.report import remarks, short_table, verdict
    from hf_bones.evaluation.augmentation.results import Settings
    from hf_bones.record import public_name

    with plain_errors():
        chosen = override(load_recipe(recipe), parse_changes(change or ()), "--set")
        words = ["hf-bones", "augment-check", *(public_name(place) for place in datasets or ()), "--recipe", public_name(recipe)]
        words += ["--out", public_name(out), *(word for each in change or () for word in ("--set", each))]
        words += ["--drawn", str(drawn), "--draws", str(draws), "--looks", str(looks), "--seed", str(seed)]
        found = check_augmentation(
            chosen,
            datasets or (),
            out,
            settings=Settings(drawn=drawn, draws=draws, looks=looks, limit=limit, split=split, seed=seed),
            criteria=Criteria(inside=inside, in_view=in_view, bend_degrees=bend_degrees, contrast=contrast),
            command=shlex.join(words),
        )
    typer.echo("\n".join([*short_table(found), verdict(found), *(f"- {remark}" for remark in remarks(found))]))
    typer.echo(f"report: {out / MARKDOWN}")
    if not found.passes:
        raise typer.Exit(1)


def parse_changes(changes: list[str] | tuple[str, ...]) -> dict[str, object]:
    """Recipe keys and values from "KEY=VALUE", each value read as YAML. Raises ValueError naming what has no `=`."""
    import yaml

    found: dict[str, object] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change!r}: expected KEY=VALUE, as in zoom=2")
        found[key.strip()] = yaml.safe_load(value)
    return found
