"""`hf-bones space push`: the demo as a Space on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.output import answer


def push(
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The Space; made where it is not there.")],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="MODEL", help="What it shows: `bundled`, a Hub id, or a folder, which goes up too; may be repeated."
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public/--private", help="Whether everybody may use a new Space.")] = False,
    zero_gpu: Annotated[bool, typer.Option(help="For ZeroGPU hardware: torch with CUDA, and a GPU borrowed for each answer.")] = False,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[Path | None, typer.Option(metavar="DIR", help="Write its files into this folder; send nothing.")] = None,
) -> None:
    """Push app, package, pinned libraries and models to a Space, in one commit. Needs `hf auth login` or HF_TOKEN."""
    from hf_bones.hub.push import check_repo_id
    from hf_bones.hub.space import push_space, write_space

    shown = models or ["bundled"]
    if dry_run is None:
        pushed = push_space(repo_id, shown, private=not public, zero_gpu=zero_gpu, message=message)
        answer(pushed, [*pushed.files, f"pushed to {pushed.url} at {pushed.commit}"])
        return
    check_repo_id(repo_id)
    names = write_space(dry_run, shown, zero_gpu=zero_gpu)
    answer({"folder": str(dry_run), "files": names}, [*names, f"written to {dry_run}; `python {dry_run / 'app.py'}` starts it"])


COMMANDS = (push,)
