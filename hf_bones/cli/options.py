"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Place = Annotated[Path, typer.Argument(metavar="COLLECTION|DATASET", help="A collection's folder, or one that `hf-bones build` wrote.")]
Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="A folder that `hf-bones build` wrote, or a Hub id.")]
Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE", help="Folder, ZIP, collection, CSV or Parquet table, dataset folder or Hub id, or `drawn`."),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="`bundled`, a checkpoint folder, or a Hub id.")]
ModelOption = Annotated[str, typer.Option("--model", help="`bundled`, a checkpoint folder, or a Hub id.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub checkpoint.")]
Device = Annotated[str | None, typer.Option(help="torch device; by default a GPU, if there is one.")]
BatchSize = Annotated[int, typer.Option(help="Images per forward pass.", min=1)]
Mirror = Annotated[bool, typer.Option(help="Score each image mirrored left-right too and average the logits; twice the time.")]
Zoom = Annotated[bool, typer.Option(help="Look at doubtful films again, in windows at twice the size; up to five times the time.")]
Strict = Annotated[bool, typer.Option(help="Exit with 3 where an image could not be read.")]
AllowPrivate = Annotated[
    list[str] | None, typer.Option(metavar="ADDRESS", help="A server of your own: address, network or host name that may be private.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on; by default the first free one from 7860.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Another name by which this server may be called, as behind a proxy; may be repeated."),
]
Browser = Annotated[bool, typer.Option(help="Open it in the browser.")]
