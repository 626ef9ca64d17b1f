"""`hf-bones download`: a public set with its licence, from the registry that holds it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.output import answer, note
from hf_bones.collect.download.choices import DownloadChoices


def download(
    what: Annotated[
        str, typer.Argument(metavar="NAME|DOI", help="A set that `--list` names, or `doi:…` of figshare, Zenodo or Mendeley Data.")
    ] = "",
    show_known: Annotated[bool, typer.Option("--list/--no-list", help="List the sets that are known by name, and end.")] = False,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for the files; by default one named after the set, in this folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Show licence, citation, files and the room they need; write nothing.")] = False,
    *,
    choices: DownloadChoices,
) -> None:
    """Download a public set: licence and citation first, checksums verified, archives unpacked. Run it again to resume."""
    if show_known:
        _list(choices)
        return
    if not what:
        raise ValueError("which set? give a name (hf-bones download --list) or a DOI (doi:10.5281/zenodo.N)")
    from hf_bones.collect.download import command

    found = command.offer(what, out, choices)
    told = {"set": found.wanted.name, "folder": found.folder, "bytes": found.size, "needed": found.needed, "free": found.free}
    if dry_run:
        files = [f"  {file.name}  {file.size:,} bytes  {file.checksum or 'no checksum'}" for file in found.files]
        answer({**told, "listing": found.listing, "warning": found.wanted.warning}, [*command.offer_lines(found), *files])
        return
    for line in command.offer_lines(found):
        note(line)
    state = command.download_command(found, choices)
    lines = [
        f"{each.name}: {each.state}" + (f", {each.members:,} files in {each.unpacked_to}/" if each.members else "") for each in state.files
    ]
    answer({**told, **dataclasses.asdict(state)}, [*lines, *command.next_lines(found)])


def _list(choices: DownloadChoices) -> None:
    from hf_bones.collect.download.command import known_sets
    from hf_bones.collect.download.run import size_text

    listed = known_sets(choices)
    lines = []
    for each in listed:
        known, size = each.known, "size unknown" if each.size is None else size_text(each.size)
        lines.append(f"{each.name:<12}{known.title}: {known.films:,} films, {size}, {known.licence} (doi:{known.doi})")
        lines += [f"{'':<12}{text}" for text in (known.shows, known.labels, known.lacks) if text]
        if each.problem:
            note(f"{each.name}: {each.problem}")
    answer({"sets": listed}, lines)
