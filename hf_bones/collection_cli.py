"""`hf-bones collection …`: looking at a collection, exporting it, fetching it again, forgetting and crediting images."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.plain_errors import plain_errors

collection_app = typer.Typer(help="Look at a collection, export it, fetch it again, forget and credit images.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the collection.")]


@collection_app.command()
def status(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """URLs by provider, label, licence and outcome; searches, copies, contradictory labels."""
    from rich.console import Console

    from hf_bones.collect.status import collection_status, status_lines, status_table

    with plain_errors():
        found = collection_status(folder)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
        return
    Console().print(status_table(found))
    typer.echo("\n".join(status_lines(found)))


@collection_app.command()
def export(
    folder: Folder,
    out: Annotated[list[Path], typer.Option(help="Table to write: .parquet or .jsonl; may be repeated.")],
    columns: Annotated[str, typer.Option(help="`hf_bones` (a row an image) or `img2dataset` (a row a URL).")] = "hf_bones",
) -> None:
    """Write the manifest as a table."""
    from hf_bones.collect.export import export_collection

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
    from hf_bones.collect.addresses import AddressGuard
    from hf_bones.collect.rebuild import REPORT_NAME, rebuild
    from hf_bones.collect.recipe import load_collect_recipe
    from hf_bones.collect.web import user_agent

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
    from hf_bones.collect.forget import forget

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
    from hf_bones.collect.credits import write_credits

    with plain_errors():
        markdown, page, count = write_credits(folder, out)
    typer.echo(f"{count:,} images: {markdown}, {page}")
