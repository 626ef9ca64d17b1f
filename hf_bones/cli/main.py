"""The `hf-bones` command: every command in its section. The functions parse, call one function and answer; heavy libraries are imported
inside them. The scripts in `scripts/` come through here too, so that every option is written once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from hf_bones.cli import collection, curate, data, download, measure, predict, share, space, train
from hf_bones.cli.commands import SETTINGS, Group, Root, command

DATA, TRAIN, MEASURE, SHARE = "Data", "Train", "Measure", "Share"

app = typer.Typer(
    name="hf-bones",
    cls=Root,
    help="Fine-tune, evaluate and try a classifier of bone radiographs: healthy, fractured or beyond repair. "
    "A research tool, not a medical device.",
    epilog="Exit codes: 0 done, 1 the work failed, 2 wrong use, 3 --strict and something could not be read, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)


def _version(wanted: bool) -> None:
    if wanted:
        from hf_bones import __version__

        print(f"hf-bones {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of `hf-bones` itself."""


def _group(panel: str, name: str, help: str, functions: Sequence[Callable[..., Any]]) -> None:
    group = typer.Typer(cls=Group, help=help, no_args_is_help=True, rich_markup_mode=None)
    for function in functions:
        command(group, function)
    app.add_typer(group, name=name, rich_help_panel=panel)


def _commands(panel: str, *functions: Callable[..., Any]) -> None:
    for function in functions:
        command(app, function, panel=panel)


_commands(DATA, download.download, data.collect, data.contact_sheet, share.review, data.build, data.cache)
command(app, data.contact_sheet, earlier_name="look")
_group(DATA, "collection", "Look at a collection, export it, fetch it again, forget and credit images.", collection.COMMANDS)
_group(DATA, "curate", "Check, dedup and split a collection or a built dataset, and find suspect labels.", curate.COMMANDS)
_commands(TRAIN, train.quickstart, train.recipes, train.accelerate_config, train.train, train.distill)
command(app, measure.compare, panel=MEASURE, without=measure.OF_A_COMPARISON)
_commands(MEASURE, measure.evaluate, measure.calibrate, measure.audit, measure.site, measure.resolution, measure.augment_check)
_commands(MEASURE, measure.join_patches, measure.second_look, predict.predict)
_commands(SHARE, share.demo, share.push)
_group(SHARE, "space", "The demo as a Space of your own on the Hub.", space.COMMANDS)


def run(*words: str) -> int:
    """Runs one command and returns its exit code."""
    try:
        app(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def main() -> None:
    """Entry point of the `hf-bones` command."""
    sys.exit(app())


if __name__ == "__main__":
    main()
