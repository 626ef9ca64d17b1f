"""`hf-bones build`, `cache` and `look`: making a dataset, its arrays, and a picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.errors import plain_errors


def build(
    source: Annotated[list[str], typer.Argument(help="Folder, collection, CSV or Parquet manifest, dataset folder or Hub id, or `drawn`.")],
    output: Annotated[Path, typer.Option(help="Folder to write.")],
    kind: Annotated[
        str | None, typer.Option(help="folder, collection, manifest, dataset, fracatlas, grazpedwri, mura or drawn; else detected.")
    ] = None,
    labels: Annotated[str, typer.Option(help="Label scheme: three-class, two-class or a YAML file.")] = "three-class",
    label_map: Annotated[list[str] | None, typer.Option(metavar="WORD=CLASS", help="Their word for our class; may be repeated.")] = None,
    proportions: Annotated[tuple[float, float, float], typer.Option(help="Shares of train, validation and test.")] = (0.7, 0.15, 0.15),
    seed: Annotated[int, typer.Option(help="Seed of the split and of drawn images.")] = 0,
    max_side: Annotated[int | None, typer.Option(help="Shrink images to this long side, px.")] = None,
    count: Annotated[int, typer.Option(help="How many to draw (source `drawn`).")] = 300,
    drawn_size: Annotated[int, typer.Option(help="Long side of drawn images, px.")] = 320,
    drawn_split: Annotated[str, typer.Option(help="Put all drawn images into this split.")] = "",
    fracatlas_rows: Annotated[str | None, typer.Option(help="Labels and splits from a list of rows: `packaged`, or a CSV.")] = None,
    keep_uncertain: Annotated[bool, typer.Option(help="GRAZPEDWRI-DX: keep films of uncertain diagnosis.")] = False,
    source_name: Annotated[str, typer.Option(help="Name of the source, where the input does not state it.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the images, where the input does not state it.")] = "",
    overwrite: Annotated[bool, typer.Option(help="Replace the dataset folder that is there.")] = False,
    find_copies: Annotated[
        bool, typer.Option("--find-copies", help="Look for near-duplicates and keep them together; refuse given splits that tear them.")
    ] = False,
    salvage_truncated: Annotated[
        bool, typer.Option("--salvage-truncated", help="Take JPEGs that were cut off but have nearly all of their rows, marked so.")
    ] = False,
    salvage_rows: Annotated[float | None, typer.Option(help="Share of the rows they must have; 0.99 if left out.", min=0, max=1)] = None,
) -> None:
    """Build a dataset: images → train, validation and test with labels, groups and licences."""
    from hf_bones.dataset.command import build_command

    with plain_errors():
        result = build_command(
            source,
            output,
            kind=kind,
            labels=labels,
            label_map=label_map or [],
            proportions=proportions,
            seed=seed,
            max_side=max_side,
            count=count,
            drawn_size=drawn_size,
            drawn_split=drawn_split,
            fracatlas_rows=fracatlas_rows,
            keep_uncertain=keep_uncertain,
            source_name=source_name,
            licence=licence,
            overwrite=overwrite,
            find_copies=find_copies,
            salvage_truncated=salvage_truncated,
            salvage_rows=salvage_rows,
        )
    for row in result.summary["counts"]:
        typer.echo(f"{row['split']:<11}{row['source']:<14}{row['label']:<16}{row['count']:>7,}")
    for note in result.notes:
        typer.echo(f"note: {note}")
    if result.refused:
        typer.echo(f"{len(result.refused)} images refused: see {result.folder / 'refused.csv'}")
    typer.echo(f"dataset: {result.folder}")


def cache(
    dataset: Annotated[str, typer.Argument(help="A folder that `hf-bones build` wrote, or a Hub id.")],
    size: Annotated[list[int] | None, typer.Option(help="Training size, px; may be repeated. 224 if left out.", min=8)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the caches; DATASET/arrays if left out.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only check every image there; exit with 1 where something is wrong.")] = False,
    export_npz: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the images to one compressed .npz.")] = None,
    npz_channels: Annotated[int, typer.Option(help="Equal channels of its images: 1 or 3.")] = 3,
    npz_dtype: Annotated[str, typer.Option(help="float32 or float16 in [0, 1], or uint8.")] = "float32",
    npz_fit: Annotated[str, typer.Option(help="letterbox: padded as in training; squash: aspect ratio not kept.")] = "letterbox",
    workers: Annotated[int | None, typer.Option(help="Threads that decode; one a CPU core if left out.", min=1)] = None,
) -> None:
    """Decode a dataset once, so that training reads arrays. Give it again to go on, to catch up, or to repair."""
    from hf_bones.dataset.arrays.command import NpzChoices, cache_command, verify_command

    sizes = size or [224]
    with plain_errors():
        if verify and export_npz:
            raise ValueError("--verify and --export-npz exclude each other: --verify writes nothing")
        if verify:
            found = verify_command(dataset, sizes, out=out)
            for folder, problems in found.items():
                typer.echo(f"{folder}: {'; '.join(problems) or 'every image is there and as it was written'}")
            raise typer.Exit(1 if any(found.values()) else 0)
        export = NpzChoices(export_npz, npz_channels, npz_dtype, npz_fit) if export_npz else None
        for line in cache_command(dataset, sizes, out=out, export=export, workers=workers):
            typer.echo(line)


def look(
    place: Annotated[Path, typer.Argument(metavar="COLLECTION|DATASET", help="A collection's folder, or one that `hf-bones build` wrote.")],
    out: Annotated[Path, typer.Option(help="Picture to write (.png, .jpg or .webp).")],
    per_label: Annotated[int, typer.Option(help="Images of each label.", min=1)] = 12,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be repeated.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Only this region; may be repeated.")] = None,
    dropped: Annotated[bool, typer.Option(help="Show images that were dropped, too.")] = False,
    seed: Annotated[int, typer.Option(help="Which images are chosen.")] = 0,
    columns: Annotated[int, typer.Option(help="Images beside each other.", min=1)] = 6,
    cell: Annotated[int, typer.Option(help="Side of an image's square, px.", min=64)] = 220,
) -> None:
    """Look at a set: one picture with some images of each label, their source, region and hash."""
    from hf_bones.curate.contact_sheet import contact_sheet, matching
    from hf_bones.dataset.subject import open_subject

    filters = {"split": split or [], "provider": source or [], "region": region or []}
    with plain_errors(), open_subject(place) as subject:
        records = [record for record in subject.manifest.images() if record.file and (dropped or record.decision != "drop")]
        records = matching(records, filters)
        asked = [f"{name} {' or '.join(words)}" for name, words in (("split", split), ("source", source), ("region", region)) if words]
        subtitle = "   ·   ".join([f"{len(records):,} images", *asked, f"chosen at random, seed {seed}"])
        picture = contact_sheet(
            records, subject.read, per_label=per_label, columns=columns, cell=cell, seed=seed, title=place.resolve().name, subtitle=subtitle
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out)
    typer.echo(f"{out}: {picture.width} × {picture.height} px")
