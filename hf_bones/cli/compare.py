"""`hf-bones compare`: recipes against each other, in one leaderboard."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from hf_bones.cli.errors import plain_errors


class SeedsCommand(TyperCommand):
    """Takes several numbers after `--seeds`: click's options take one word, and would read the others as recipes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, gather_numbers(args, "--seeds"))


def gather_numbers(words: list[str], option: str) -> list[str]:
    """`--seeds 0 1 2` as `--seeds 0,1,2`: whole numbers that follow the option become its one value."""
    if option not in words:
        return words
    start = words.index(option) + 1
    end = start
    while end < len(words) and words[end].isdecimal():
        end += 1
    return [*words[:start], ",".join(words[start:end]), *words[end:]] if end > start else words


def compare(
    recipes: Annotated[list[str] | None, typer.Argument(metavar="RECIPE…", help="Shipped recipes by name, or YAML files.")] = None,
    *,
    dataset: Annotated[str, typer.Option(help="A folder that `hf-bones build` wrote, or a Hub id; all recipes train on it.")],
    out: Annotated[Path, typer.Option(help="Folder for the leaderboard, and for the runs, which are kept in it.")],
    seeds: Annotated[str, typer.Option(metavar="N…", help="Train each recipe with each of these seeds.")] = "0",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[RECIPE:]KEY=VALUE", help="Change a key of all recipes, or of one; may be repeated."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A row for a folder, Hub id or `bundled` that is trained already; may be repeated."),
    ] = None,
    licence: Annotated[list[str] | None, typer.Option(help="Learn from and choose by rows of this licence only; may be repeated.")] = None,
    split: Annotated[str, typer.Option(help="Split to show. It ranks nothing; looks at it are counted.")] = "test",
    baselines: Annotated[bool, typer.Option(help="Rows for the majority class and the statistics-only forest.")] = True,
    specificity: Annotated[float, typer.Option(help="Specificity of the recalls.")] = 0.85,
    repeats: Annotated[int, typer.Option(help="Bootstrap resamples.", min=20)] = 1000,
    train_images: Annotated[int, typer.Option(help="Training rows that the overfit gap is measured on.", min=10)] = 400,
    device: Annotated[str | None, typer.Option(help="torch device to score on; a GPU where there is one, if left out.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass while scoring.", min=1)] = 16,
) -> None:
    """Train recipes on one dataset and rank them by validation, test shown beside it. Give it again to go on where it stopped."""
    from hf_bones.evaluation.compare.report import terminal_lines
    from hf_bones.evaluation.compare.run import compare as run_comparison
    from hf_bones.evaluation.report.figures import Resampling
    from hf_bones.finetune import run

    with plain_errors():
        done = run_comparison(
            recipes or [],
            dataset,
            out,
            train=run,
            seeds=parse_seeds(seeds),
            settings=settings or [],
            checkpoints=parse_checkpoints(checkpoint or []),
            licences=licence or (),
            split=split,
            baselines=baselines,
            specificity=specificity,
            resampling=Resampling(repeats=repeats),
            train_images=train_images,
            device=device,
            batch_size=batch_size,
            command=_command(recipes or [], dataset, out, seeds, settings or [], checkpoint or [], licence or [], split),
        )
    typer.echo("\n".join(terminal_lines(done)))
    typer.echo(f"leaderboard: {out / 'leaderboard.md'} (.csv, .json and .png beside it)")
    if done.failures:
        raise typer.Exit(1)


def parse_seeds(text: str) -> list[int]:
    """Whole numbers from "0,1,2". Raises ValueError naming what is none."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise ValueError(f"--seeds {text!r}: expected whole numbers, as in --seeds 0 1 2")
    return [int(word) for word in words]


def parse_checkpoints(given: list[str]) -> dict[str, str]:
    """name → checkpoint from `NAME=PATH`. Raises ValueError for another form and for a name given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not equals or not name or not place:
            raise ValueError(f"--checkpoint {text!r}: expected NAME=PATH, as in mine=runs/mine or theirs=owner/name")
        if name in found:
            raise ValueError(f"--checkpoint {text!r}: the name {name!r} is given twice")
        found[name] = place
    return found


def _command(
    recipes: list[str], dataset: str, out: Path, seeds: str, settings: list[str], checkpoints: list[str], licences: list[str], split: str
) -> str:
    """The command as the leaderboard states it: names instead of this machine's folders."""
    from hf_bones.record import public_name

    def shared(setting: str) -> str:
        name, equals, value = setting.partition("=")
        return f"{name}{equals}{public_name(value) if value and '/' in value else value}"

    words = ["hf-bones", "compare", *(public_name(recipe) for recipe in recipes), "--dataset", public_name(dataset)]
    words += ["--out", public_name(out), "--seeds", *map(str, parse_seeds(seeds))]
    words += [word for setting in settings for word in ("--set", shared(setting))]
    words += [word for given in checkpoints for word in ("--checkpoint", shared(given))]
    words += [word for name in licences for word in ("--licence", name)]
    return shlex.join(words + (["--split", split] if split != "test" else []))
