"""`hf-bones collection …`: adding to a collection, looking at it, exporting it, fetching it again, forgetting and crediting images."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.errors import plain_errors

collection_app = typer.Typer(help="Look at a collection, export it, fetch it again, forget and credit images.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the collection.")]


@collection_app.command()
def status(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """URLs by provider, label, licence and outcome; searches, copies, contradictory labels."""
    from rich.console import Console

    from hf_bones.collect.upkeep.status import collection_status, status_lines, status_table

    with plain_errors():
        found = collection_status(folder)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
        return
    Console().print(status_table(found))
    typer.echo("\n".join(status_lines(found)))


@collection_app.command()
def add(
    source: Annotated[list[str], typer.Argument(help="Folder per label, CSV, TSV or Parquet table, saved dataset, FracAtlas, MURA …")],
    out: Annotated[Path, typer.Option(help="Folder of the collection; made, or added to.")],
    kind: Annotated[str | None, typer.Option(help="folder, manifest, dataset, fracatlas, grazpedwri or mura; else detected.")] = None,
    labels: Annotated[str, typer.Option(help="Label scheme: three-class, two-class or a YAML file.")] = "three-class",
    label_map: Annotated[list[str] | None, typer.Option(metavar="WORD=CLASS", help="Their word for our class; may be repeated.")] = None,
    fracatlas_rows: Annotated[str | None, typer.Option(help="Labels and splits from a list of rows: `packaged`, or a CSV.")] = None,
    keep_uncertain: Annotated[bool, typer.Option(help="GRAZPEDWRI-DX: keep films of uncertain diagnosis.")] = False,
    source_name: Annotated[str, typer.Option(help="Name of the source, where the input does not state it.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the images, where the input does not state it.")] = "",
    creator: Annotated[str, typer.Option(help="Who made the images, for the page of credits.")] = "",
) -> None:
    """Add images of your own: every file is decoded whole and kept by hash. Give it again to go on, or to add what is new.

    No network is needed, and any licence is taken, "unknown" too: the files are yours, and so is the answer for passing them on.
    """
    from hf_bones.dataset.add_to_collection import add_images

    with plain_errors():
        added = add_images(
            source, out, kind=kind, labels=labels, label_map=label_map or [], fracatlas_rows=fracatlas_rows, keep_uncertain=keep_uncertain,
            source_name=source_name, licence=licence, creator=creator, show_progress=True,
        )  # fmt: skip
    result = added.result
    typer.echo(
        f"this run: {result.stored:,} added, {result.duplicates:,} copies of others, {result.refused:,} refused, {result.failed:,} failed"
    )
    for reason, count in sorted(added.reasons.items(), key=lambda item: -item[1]):
        typer.echo(f"  {count:,} × {reason}")
    for reason, count in Counter(row.reason for row in added.left_out).most_common():
        typer.echo(f"left out by the source's reader: {count:,} × {reason}")
    for note in added.notes:
        typer.echo(f"note: {note}")
    if added.conflicts:
        typer.echo(f"{added.conflicts:,} images stand there under several labels; a build leaves them out until somebody decides")
    for name, _, error in result.failed_searches:
        typer.echo(f"{name}: {error}", err=True)
    typer.echo(f"collection: {out} (hf-bones collection status {out})")
    if result.failed or result.failed_searches:
        raise typer.Exit(1)


@collection_app.command()
def export(
    folder: Folder,
    out: Annotated[list[Path], typer.Option(help="Table to write: .parquet or .jsonl; may be repeated.")],
    columns: Annotated[str, typer.Option(help="`hf_bones` (a row an image) or `img2dataset` (a row a URL).")] = "hf_bones",
) -> None:
    """Write the manifest as a table."""
    from hf_bones.collect.upkeep.export import export_collection

    with plain_errors():
        for path in out:
            typer.echo(f"{path}: {export_collection(folder, path, columns):,} rows")


@collection_app.command()
def rebuild(
    manifest: Annotated[Path, typer.Argument(help="Collection, manifest.db, or an export (.parquet, .jsonl).")],
    contact: Annotated[str, typer.Option(envvar="HF_BONES_CONTACT", help="E-mail address or page of yours, for the owners of sites.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the new collection; left out, a collection is mended in place.")] = None,
    recipe: Annotated[str, typer.Option(help="Recipe whose `fetch` settings hold.")] = "bones",
    allow_private: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Your own server: an address, network or host name that may be private.")
    ] = None,
) -> None:
    """Fetch the images again from a manifest alone and verify their hashes. Exits with 1 if one is missing."""
    from hf_bones.collect.http.addresses import AddressGuard
    from hf_bones.collect.http.web import user_agent
    from hf_bones.collect.recipe import load_collect_recipe
    from hf_bones.collect.upkeep.rebuild import REPORT_NAME, rebuild

    with plain_errors():
        settings = load_collect_recipe(recipe).fetch
        results = rebuild(manifest, out, settings, guard=AddressGuard(allow_private or ()), agent=user_agent(contact), show_progress=True)
    counts = Counter(result.outcome for result in results)
    typer.echo(
        ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in ("there", "rebuilt", "changed", "gone") if counts[outcome]) or "empty"
    )
    typer.echo(f"report: {(out or (manifest if manifest.is_dir() else manifest.parent)) / REPORT_NAME}")
    if counts["changed"] or counts["gone"]:
        raise typer.Exit(1)


@collection_app.command()
def forget(
    folder: Folder,
    what: Annotated[str, typer.Argument(help="URL, SHA-256, or the first 8 or more digits of one.")],
    reason: Annotated[str, typer.Option(help="Why, for the tombstone.")] = "",
    by: Annotated[str, typer.Option(help="Who decided it.")] = "",
) -> None:
    """Delete an image and what is known of it, and keep it from coming back."""
    from hf_bones.collect.upkeep.forget import forget

    with plain_errors():
        gone = forget(folder, what, reason, by)
    for word, values in (("deleted", gone.files), ("will not come back", (*gone.hashes, *gone.urls))):
        for value in values:
            typer.echo(f"{word}: {value}")
    typer.echo("exports, credits pages and datasets made before still name it: make them anew")
    if not gone.cleared:
        typer.echo("another program reads the manifest, whose log may still hold the words: close it and give the command again", err=True)
        raise typer.Exit(1)


@collection_app.command()
def credits(folder: Folder, out: Annotated[Path, typer.Option(help="Folder for CREDITS.md and credits.html.")]) -> None:
    """Write the attribution page: title, author, source and licence of each image."""
    from hf_bones.collect.upkeep.credits import write_credits

    with plain_errors():
        markdown, page, count = write_credits(folder, out)
    typer.echo(f"{count:,} images: {markdown}, {page}")
