"""`hf-bones curate …`: checks, near-duplicates, splits and suspect labels of a collection or a built dataset."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.errors import plain_errors
from hf_bones.curate.checks.reasons import Reason
from hf_bones.curate.recipe import DEFAULT_RECIPE, load_curate_recipe

curate_app = typer.Typer(help="Check, de-duplicate, split and question a collection or a built dataset.", no_args_is_help=True)

Place = Annotated[Path, typer.Argument(metavar="COLLECTION|DATASET", help="A collection's folder, or one that `hf-bones build` wrote.")]
Recipe = Annotated[str, typer.Option(help="Thresholds and settings: a shipped recipe's name, or a YAML file.")]


@curate_app.command()
def checks(
    place: Place,
    recipe: Recipe = DEFAULT_RECIPE,
    report: Annotated[Path | None, typer.Option(help="Folder for checks.html (the worst of each kind) and checks.csv.")] = None,
    salvage_truncated: Annotated[
        bool, typer.Option("--salvage-truncated", help="Make images of refused JPEGs that were only cut off, marked so.")
    ] = False,
    salvage_rows: Annotated[float | None, typer.Option(help="Share of the rows they must have, instead of the recipe's.")] = None,
    drop: Annotated[list[Reason] | None, typer.Option(help="Drop what is flagged for this reason; may be repeated.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; as many as there are cores, if left out.", min=1)] = None,
) -> None:
    """Measure every image for eleven reasons to suspect it, and flag what is past the recipe's thresholds. Deletes nothing.

    Images that are measured already are judged anew by their values, without opening them.
    """
    from rich.console import Console

    from hf_bones.curate.checks.command import CheckChoices, check_lines, check_table, checks_command
    from hf_bones.dataset.subject import open_subject

    choices = CheckChoices(report, salvage_truncated, salvage_rows, tuple(drop or ()), workers)
    with plain_errors(), open_subject(place) as subject:
        done = checks_command(subject, load_curate_recipe(recipe).checks, choices)
        Console().print(check_table(done))
        typer.echo("\n".join(check_lines(done)))


@curate_app.command()
def split(
    place: Place,
    recipe: Recipe = DEFAULT_RECIPE,
    anew: Annotated[bool, typer.Option("--anew", help="Deal out every image; left out, splits that are there are kept.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the deal, instead of the recipe's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be; write nothing to the manifest.")] = False,
    regions: Annotated[bool, typer.Option("--regions", help="Show each region's share, too.")] = False,
    random_scored: Annotated[
        bool, typer.Option("--random-score", help="Also score what an image-level random split would have claimed.")
    ] = False,
    model: Annotated[str, typer.Option(help="Checkpoint whose frozen features are scored: `bundled`, a folder or a Hub id.")] = "bundled",
    out: Annotated[Path | None, typer.Option(help="JSON file for the proof.")] = None,
) -> None:
    """Deal whole groups (patients, pages, near-duplicates) out to train, validation and test, and print the proof.

    Exits with 1 where a group stands in two splits.
    """
    from rich.console import Console

    from hf_bones.curate.splits.command import split_subject
    from hf_bones.curate.splits.proof import kinds_table, proof_lines, strata_table
    from hf_bones.dataset.subject import open_subject
    from hf_bones.record import write_json

    console = Console()
    with plain_errors(), open_subject(place) as subject:
        settings = load_curate_recipe(recipe).split
        settings = settings if seed is None else dataclasses.replace(settings, seed=seed)
        done = split_subject(subject, settings, anew=anew, dry_run=dry_run)
        console.print(strata_table(done.proof, regions=regions), "", kinds_table(done.proof), "")
        typer.echo("\n".join([*proof_lines(done.proof), *(f"note: {note}" for note in done.notes)]))
        typer.echo(f"{done.changed:,} images have another split than before" + (" (dry run: nothing was written)" if dry_run else ""))
        report = done.proof.as_dict()
        if random_scored:
            from hf_bones.evaluation.opinions.frozen import learnt_from
            from hf_bones.evaluation.opinions.random_split import frozen_reader, random_score, score_lines, score_table

            score = random_score(done.records, done.groups, done.splits, done.keys, frozen_reader(subject, model), settings)
            console.print("", score_table(score))
            typer.echo("\n".join([*score_lines(score), *filter(None, [learnt_from(model)])]))
            report["random_split"] = {"model": model, **score.as_dict()}
    if out is not None:
        write_json(out, report)
        typer.echo(f"proof: {out}")
    if not done.proof.holds:
        raise typer.Exit(1)


@curate_app.command()
def agreement(
    place: Place,
    first: Annotated[str | None, typer.Option(help="A reviewer; the busiest one if left out.")] = None,
    second: Annotated[str | None, typer.Option(help="Another; `labels as they came` compares with those.")] = None,
    use: Annotated[bool, typer.Option("--use", help="Compare what to keep and what to drop, instead of labels.")] = False,
) -> None:
    """How far two reviewers agree: Cohen's kappa with its interval, the table, and the images they differ on."""
    from hf_bones.curate.review.agreement import agreement_of_place
    from hf_bones.dataset.subject import open_subject

    with plain_errors(), open_subject(place) as subject:
        typer.echo(agreement_of_place(subject.manifest, first, second, use=use))


@curate_app.command()
def suspects(
    place: Place,
    model: Annotated[str, typer.Option(help="Checkpoint whose frozen features are used: `bundled`, a folder or a Hub id.")] = "bundled",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub checkpoint.")] = None,
    device: Annotated[str | None, typer.Option(help="torch device; a GPU where there is one, if left out.")] = None,
    worst: Annotated[int, typer.Option(help="How many of the most suspect to print.", min=0)] = 20,
    csv: Annotated[Path | None, typer.Option(help="Write all of them here, the most suspect first.")] = None,
    recipe: Recipe = DEFAULT_RECIPE,
) -> None:
    """Find suspect labels: each image judged by heads that saw none of its group, the doubt kept for `hf-bones review`."""
    from hf_bones.dataset.subject import open_subject
    from hf_bones.evaluation.opinions.suspects import suspect_labels, suspect_lines, write_csv

    with plain_errors(), open_subject(place) as subject:
        found = suspect_labels(subject, load_curate_recipe(recipe).opinions, model=model, revision=revision, device=device)
        if csv is not None:
            write_csv(csv, found)
    typer.echo("\n".join(suspect_lines(found, worst)))
    if csv is not None:
        typer.echo(f"all of them: {csv}")
    typer.echo(f"look at them: hf-bones review {place}")


@curate_app.command()
def dedup(
    place: Place,
    recipe: Recipe = DEFAULT_RECIPE,
    report: Annotated[Path | None, typer.Option(help="Folder for a page with the copies side by side, and a table.")] = None,
    drop: Annotated[bool, typer.Option(help="Drop all copies but the best, by a decision that can be undone.")] = True,
    embedding: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also ask the features of this checkpoint (`bundled`, a folder, a Hub id) in doubt.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that open images.", min=1)] = 2,
) -> None:
    """Find near-duplicates: re-compressed, scaled, framed, cropped, mirrored, inverted, turned a little, drawn upon."""
    from hf_bones.curate.duplicates.decide import deduplicate
    from hf_bones.curate.duplicates.report import write_report
    from hf_bones.dataset.subject import open_subject

    with plain_errors(), open_subject(place) as subject:
        embed = None
        if embedding is not None:
            from hf_bones.evaluation.opinions.random_split import frozen_reader

            embed = frozen_reader(subject, embedding)
        done = deduplicate(subject, load_curate_recipe(recipe).dedup, drop=drop, embed=embed, workers=workers)
        torn = [group for group in done.groups if group.is_contradictory]
        typer.echo(f"{done.images:,} images: {done.search.candidates:,} pairs looked alike, {len(done.search.links):,} are one picture")
        typer.echo(f"{len(done.groups):,} groups of copies, {sum(len(group.members) for group in done.groups):,} images in them")
        for group in torn:
            members = ", ".join(f"{record.title or record.file} ({record.final_label})" for record in group.members)
            typer.echo(f"different labels, to be reviewed: {group.name}: {members}")
        for sha256, labels in done.identical.items():
            record = subject.manifest.image(sha256)
            name = (record.title or record.file) if record else sha256[:12]
            typer.echo(f"different labels, to be reviewed: {name} and files identical to it: {', '.join(labels)}")
        if drop:
            taken_back = f", {done.undone:,} earlier drops taken back" if done.undone else ""
            typer.echo(f"{done.dropped:,} copies dropped in favour of the best{taken_back}")
        for sha256, why in done.unreadable.items():
            typer.echo(f"cannot be opened: {sha256[:12]}: {why}", err=True)
        if done.search.skipped:
            typer.echo(f"{done.search.skipped:,} look-ups were passed over: see dedup.fullest in the recipe", err=True)
        if report is not None:
            page, table = write_report(subject, done, report)
            typer.echo(f"report: {page}, {table}")
