"""`hf-bones curate …`: checks, near-duplicates, splits and suspect labels of a collection or a built dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_bones.cli.errors import FAILED
from hf_bones.cli.options import Device, ModelOption, Place, Revision
from hf_bones.cli.output import answer, note, wants_json

if TYPE_CHECKING:
    from hf_bones.curation.duplicates.decide import Deduplicated
    from hf_bones.curation.subject import Subject

RecipeName = Annotated[str, typer.Option(metavar="NAME|FILE", help="Thresholds and settings: a shipped recipe's name, or a YAML file.")]
DEFAULT = "radiographs"


def checks(
    place: Place,
    recipe: RecipeName = DEFAULT,
    report: Annotated[Path | None, typer.Option(help="Folder for checks.html (the worst of each kind) and checks.csv.")] = None,
    salvage_truncated: Annotated[bool, typer.Option(help="Make images of refused JPEGs that were only cut off, and mark them.")] = False,
    salvage_rows: Annotated[float | None, typer.Option(help="Share of the rows they must have, instead of the recipe's.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="REASON", help="Drop what is flagged for this reason (see --report); may be repeated.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default as many as there are cores.", min=1)] = None,
) -> None:
    """Measure every image for twelve reasons to suspect it, and flag what is past the recipe's thresholds. Deletes nothing.

    Images that are measured already are judged again by their values, without opening them.
    """
    from rich.console import Console

    from hf_bones.curation.checks.command import CheckChoices, check_lines, check_table, checks_command
    from hf_bones.curation.checks.reasons import reasons_named
    from hf_bones.curation.recipe import load_curate_recipe
    from hf_bones.dataset.subject import open_subject

    choices = CheckChoices(report, salvage_truncated, salvage_rows, reasons_named(drop or ()), workers)
    with open_subject(place) as subject:
        done = checks_command(subject, load_curate_recipe(recipe).checks, choices)
        if not wants_json():
            Console().print(check_table(done))
        answer(done, check_lines(done))


def split(
    place: Place,
    recipe: RecipeName = DEFAULT,
    anew: Annotated[bool, typer.Option(help="Deal out every image again; without it, existing splits are kept.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the deal, instead of the recipe's.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show what would change; write nothing to the manifest.")] = False,
    regions: Annotated[bool, typer.Option(help="Show each region's share, too.")] = False,
    random_score: Annotated[bool, typer.Option(help="Also score what an image-level random split would have claimed.")] = False,
    model: ModelOption = "bundled",
    out: Annotated[Path | None, typer.Option(help="JSON file for the proof.")] = None,
) -> None:
    """Deal whole groups (patients, pages, near-duplicates) out to train, validation and test, and print the proof.

    Exits with 1 where a group is in two splits. With --random-score, the frozen features of --model are scored.
    """
    from rich.console import Console

    from hf_bones.curation.recipe import load_curate_recipe
    from hf_bones.curation.splits.command import split_subject
    from hf_bones.curation.splits.proof import kinds_table, proof_lines, strata_table
    from hf_bones.dataset.subject import open_subject
    from hf_bones.record import command_line, write_json

    console = Console()
    with open_subject(place) as subject:
        settings = load_curate_recipe(recipe).split
        settings = settings if seed is None else dataclasses.replace(settings, seed=seed)
        done = split_subject(subject, settings, anew=anew, dry_run=dry_run)
        if not wants_json():
            console.print(strata_table(done.proof, regions=regions), "", kinds_table(done.proof), "")
        lines = [*proof_lines(done.proof), *(f"note: {text}" for text in done.notes)]
        lines.append(f"{done.changed:,} images changed their split" + (" (dry run: nothing was written)" if dry_run else ""))
        data = {"command": command_line(), **done.proof.as_dict(), "changed": done.changed, "notes": done.notes}
        if random_score:
            from hf_bones.evaluation.opinions.frozen import learnt_from
            from hf_bones.evaluation.opinions.random_split import frozen_reader, score_lines, score_table
            from hf_bones.evaluation.opinions.random_split import random_score as score_of

            score = score_of(done.records, done.groups, done.splits, done.keys, frozen_reader(subject, model), settings)
            if not wants_json():
                answer(None, lines)
                lines = []
                console.print("", score_table(score))
            lines += [*score_lines(score), *filter(None, [learnt_from(model)])]
            data["random_split"] = {"model": model, **score.as_dict()}
    if out is not None:
        write_json(out, data)
        lines.append(f"proof: {out}")
    answer(data, lines)
    if not done.proof.holds:
        raise typer.Exit(FAILED)


def agreement(
    place: Place,
    first: Annotated[str | None, typer.Option(help="A reviewer; by default the busiest one.")] = None,
    second: Annotated[str | None, typer.Option(help="The other one; `labels as they came` compares with those.")] = None,
    use: Annotated[bool, typer.Option(help="Compare decisions to keep or drop, instead of labels.")] = False,
) -> None:
    """How far two reviewers agree: Cohen's kappa with its interval, the table, and the images they differ on."""
    from hf_bones.curation.review.agreement import agreement_of_place, agreement_text
    from hf_bones.dataset.subject import open_subject

    with open_subject(place) as subject:
        found = agreement_of_place(subject.manifest, first, second, use=use)
        disputed = sum(bool(record.disputed) for record in subject.manifest.images())
    lines = [agreement_text(found)]
    if disputed:
        lines.append(f"{disputed:,} images need adjudication, and a build leaves them out: filter by Decision in hf-bones review {place}")
    answer(found, lines)


def suspects(
    place: Place,
    model: ModelOption = "bundled",
    revision: Revision = None,
    device: Device = None,
    worst: Annotated[int, typer.Option(help="How many of the most suspect to print.", min=0)] = 20,
    csv: Annotated[Path | None, typer.Option(help="Write all of them here, the most suspect first.")] = None,
    recipe: RecipeName = DEFAULT,
) -> None:
    """Find suspect labels: each image judged by heads that saw none of its group, the doubt kept for `hf-bones review`."""
    from hf_bones.curation.recipe import load_curate_recipe
    from hf_bones.dataset.subject import open_subject
    from hf_bones.evaluation.opinions.suspects import suspect_labels, suspect_lines, write_csv

    with open_subject(place) as subject:
        found = suspect_labels(subject, load_curate_recipe(recipe).opinions, model=model, revision=revision, device=device)
        if csv is not None:
            write_csv(csv, found)
    lines = [*suspect_lines(found, worst), *([f"all of them: {csv}"] if csv is not None else []), f"look at them: hf-bones review {place}"]
    told = [
        {
            "sha256": one.record.sha256, "file": one.record.file, "label": one.label, "likeliest": one.likeliest,
            "suspicion": one.suspicion, "issue": one.issue, "probabilities": one.probabilities,
        }
        for one in found.suspects
    ]  # fmt: skip
    data = {"model": found.model, "auroc": found.auroc, "issues": found.issues, "left_out": found.left_out, "notes": found.notes}
    answer({**data, "suspects": told}, lines)


def dedup(
    place: Place,
    recipe: RecipeName = DEFAULT,
    report: Annotated[Path | None, typer.Option(help="Folder for a page with near-duplicates side by side, and a table.")] = None,
    drop: Annotated[bool, typer.Option(help="Drop all but the best of each group, by a decision that can be undone.")] = True,
    embedding: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="In doubt, also compare features of this checkpoint (`bundled`, a folder, a Hub id)."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that open images.", min=1)] = 2,
) -> None:
    """Find near-duplicates: re-compressed, scaled, framed, cropped, mirrored, inverted, turned a little, drawn upon."""
    from hf_bones.curation.duplicates.decide import deduplicate
    from hf_bones.curation.duplicates.report import write_report
    from hf_bones.curation.recipe import load_curate_recipe
    from hf_bones.dataset.subject import open_subject

    with open_subject(place) as subject:
        embed = None
        if embedding is not None:
            from hf_bones.evaluation.opinions.random_split import frozen_reader

            embed = frozen_reader(subject, embedding)
        done = deduplicate(subject, load_curate_recipe(recipe).dedup, drop=drop, embed=embed, workers=workers)
        lines = [*_dedup_lines(subject, done, drop)]
        data: dict[str, Any] = {"images": done.images, "candidates": done.search.candidates, "links": len(done.search.links)}
        data["groups"] = [
            {"name": group.name, "kept": group.kept, "labels": group.labels, "members": [record.sha256 for record in group.members]}
            for group in done.groups
        ]
        data |= {"identical": done.identical, "dropped": done.dropped, "undone": done.undone, "unreadable": done.unreadable}
        if report is not None:
            data["report"] = page, table = write_report(subject, done, report)
            lines.append(f"report: {page}, {table}")
        answer(data, lines)
    for sha256, why in done.unreadable.items():
        note(f"cannot be opened: {sha256[:12]}: {why}")
    if done.search.skipped:
        note(f"{done.search.skipped:,} lookups were skipped: see dedup.fullest in the recipe")


def _dedup_lines(subject: Subject, done: Deduplicated, drop: bool) -> Iterator[str]:
    yield f"{done.images:,} images: {done.search.candidates:,} pairs looked alike, {len(done.search.links):,} are one picture"
    yield f"{len(done.groups):,} groups of near-duplicates, {sum(len(group.members) for group in done.groups):,} images in them"
    for group in done.groups:
        if group.is_contradictory:
            members = ", ".join(f"{record.title or record.file} ({record.final_label})" for record in group.members)
            yield f"different labels, to be reviewed: {group.name}: {members}"
    for sha256, labels in done.identical.items():
        record = subject.manifest.image(sha256)
        name = (record.title or record.file) if record else sha256[:12]
        yield f"different labels, to be reviewed: {name} and files identical to it: {', '.join(labels)}"
    if drop:
        taken_back = f", {done.undone:,} earlier drops taken back" if done.undone else ""
        yield f"{done.dropped:,} near-duplicates dropped in favour of the best{taken_back}"


COMMANDS = (checks, split, agreement, suspects, dedup)
