"""`hf-bones curate …`: checks, near-duplicates, splits and suspect labels of a collection or a built dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

curate_app = typer.Typer(help="Check, de-duplicate, split and question a collection or a built dataset.", no_args_is_help=True)

Place = Annotated[Path, typer.Argument(metavar="COLLECTION|DATASET", help="A collection's folder, or one that `hf-bones build` wrote.")]
Recipe = Annotated[str, typer.Option(help="Thresholds and settings: a shipped recipe's name, or a YAML file.")]
