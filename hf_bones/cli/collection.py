"""`hf-bones collection …`: adding to a collection, looking at it, exporting it, fetching it again, forgetting and crediting images."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.errors import FAILED
from hf_bones.cli.options import AllowPrivate, Sources
from hf_bones.cli.output import answer, note, wants_json
from hf_bones.dataset.choices import ReadingChoices

Folder = Annotated[Path, typer.Argument(help="Folder of the collection.")]


def status(folder: Folder) -> None:
    """URLs by provider, label, licence and outcome; searches, identical files, contradictory labels."""
    from rich.console import Console

    from hf_bones.collect.upkeep.status import collection_status, status_lines, status_table

    found = collection_status(folder)
    if not wants_json():
        Console().print(status_table(found))
    answer(found, status_lines(found))


def add(
    source: Sources,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the collection: a new one, or one to add to.")],
    choices: ReadingChoices,
    creator: Annotated[str, typer.Option(help="Who made the images, for the page of credits.")] = "",
) -> None:
    """Add images of your own: every file is decoded whole and kept by hash. Run it again to resume, or to add what is new.

    No network is needed, and any licence is taken, "unknown" too: the files are yours, and so is the answer for passing them on.
    """
    from hf_bones.dataset.add_to_collection import add_images

    added = add_images(source, out, choices=choices, creator=creator, show_progress=True)
    result = added.result
    lines = [f"this run: {result.stored:,} added, {result.duplicates:,} duplicates, {result.refused:,} refused, {result.failed:,} failed"]
    lines += [f"  {count:,} × {reason}" for reason, count in sorted(added.reasons.items(), key=lambda item: -item[1])]
    left_out = Counter(row.reason for row in added.left_out)
    lines += [f"left out by the importer: {count:,} × {reason}" for reason, count in left_out.most_common()]
    lines += [f"note: {text}" for text in added.notes]
    if added.conflicts:
        lines.append(f"{added.conflicts:,} images have several labels there; a build leaves them out until somebody decides")
    answer({"collection": out, **dataclasses.asdict(added)}, [*lines, f"collection: {out} (hf-bones collection status {out})"])
    for name, _, error in result.failed_searches:
        note(f"{name}: {error}")
    if result.failed or result.failed_searches:
        raise typer.Exit(FAILED)


def export(
    folder: Folder,
    out: Annotated[list[Path], typer.Option(help="Table to write: .parquet or .jsonl; may be repeated.")],
    columns: Annotated[str, typer.Option(help="`hf_bones` (a row per image) or `img2dataset` (a row per URL).")] = "hf_bones",
) -> None:
    """Write the manifest as a table."""
    from hf_bones.collect.upkeep.export import export_collection

    rows = {path: export_collection(folder, path, columns) for path in out}
    answer({"rows": rows}, [f"{path}: {count:,} rows" for path, count in rows.items()])


def rebuild(
    manifest: Annotated[Path, typer.Argument(help="Collection, manifest.db, or an export (.parquet, .jsonl).")],
    contact: Annotated[str, typer.Option(envvar="HF_BONES_CONTACT", help="Your e-mail address or web page, for site owners.")],
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the new collection; without it, a collection is repaired in place.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe whose `fetch` settings apply.")] = "bones",
    allow_private: AllowPrivate = None,
) -> None:
    """Fetch the images again from a manifest alone and verify their hashes. Exits with 1 if one is missing."""
    from hf_bones.collect.http.addresses import AddressGuard
    from hf_bones.collect.http.web import user_agent
    from hf_bones.collect.recipe import load_collect_recipe
    from hf_bones.collect.upkeep.rebuild import REPORT_NAME, rebuild

    settings = load_collect_recipe(recipe).fetch
    results = rebuild(manifest, out, settings, guard=AddressGuard(allow_private or ()), agent=user_agent(contact), show_progress=True)
    counts = Counter(result.outcome for result in results)
    told = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in ("there", "rebuilt", "changed", "gone") if counts[outcome])
    report = (out or (manifest if manifest.is_dir() else manifest.parent)) / REPORT_NAME
    answer({"counts": counts, "report": report, "images": results}, [told or "empty", f"report: {report}"])
    if counts["changed"] or counts["gone"]:
        raise typer.Exit(FAILED)


def forget(
    folder: Folder,
    what: Annotated[str, typer.Argument(help="URL, SHA-256, or the first 8 or more digits of one.")],
    reason: Annotated[str, typer.Option(help="Why, for the tombstone.")] = "",
    by: Annotated[str, typer.Option(help="Who decided it.")] = "",
) -> None:
    """Delete an image and what is known of it, and keep it from coming back."""
    from hf_bones.collect.upkeep.forget import forget

    gone = forget(folder, what, reason, by)
    if gone.was_known:
        lines = [f"deleted: {name}" for name in gone.files] + [f"will not come back: {name}" for name in (*gone.hashes, *gone.urls)]
        lines.append("exports, credits pages and datasets made before still name it: make them again")
    else:
        lines = [f"nothing of it was known: {what}", *(f"will not come: {name}" for name in (*gone.hashes, *gone.urls))]
    answer(gone, lines)
    if not gone.cleared:
        note("another program has the manifest open, and its log may still hold the deleted text: close it and run the command again")
        raise typer.Exit(FAILED)


def credits(folder: Folder, out: Annotated[Path, typer.Option(file_okay=False, help="Folder for CREDITS.md and credits.html.")]) -> None:
    """Write the attribution page: title, author, source and licence of each image."""
    from hf_bones.collect.upkeep.credits import write_credits

    markdown, page, count = write_credits(folder, out)
    answer({"images": count, "files": [markdown, page]}, [f"{count:,} images: {markdown}, {page}"])


COMMANDS = (status, add, export, rebuild, forget, credits)
