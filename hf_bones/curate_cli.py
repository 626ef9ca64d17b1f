"""`hf-bones curate …`: checks, near-duplicates, splits and suspect labels of a collection or a built dataset."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.curate.recipe import DEFAULT_RECIPE, load_curate_recipe
from hf_bones.plain_errors import plain_errors

curate_app = typer.Typer(help="Check, de-duplicate, split and question a collection or a built dataset.", no_args_is_help=True)

Place = Annotated[Path, typer.Argument(metavar="COLLECTION|DATASET", help="A collection's folder, or one that `hf-bones build` wrote.")]
Recipe = Annotated[str, typer.Option(help="Thresholds and settings: a shipped recipe's name, or a YAML file.")]


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

    from hf_bones.curate.split_proof import kinds_table, proof_lines, strata_table
    from hf_bones.curate.split_subject import split_subject
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
            from hf_bones.evaluation.frozen import learnt_from
            from hf_bones.evaluation.random_split import frozen_reader, random_score, score_lines, score_table

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
    from hf_bones.curate.agreement import agreement_of_place
    from hf_bones.dataset.subject import open_subject

    with plain_errors(), open_subject(place) as subject:
        typer.echo(agreement_of_place(subject.manifest, first, second, use=use))
