"""The `hf-bones` command. Each subcommand parses, calls one function and prints; heavy libraries are imported inside.

The scripts in `scripts/` come through here too, so that every option is written once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.augment_check import augment_check
from hf_bones.cli.collection import collection_app
from hf_bones.cli.compare import SeedsCommand, compare
from hf_bones.cli.curate import curate_app
from hf_bones.cli.dataset import build, cache, look
from hf_bones.cli.errors import plain_errors
from hf_bones.cli.resolution import resolution

app = typer.Typer(
    name="hf-bones",
    help="Fine-tune, evaluate and try a classifier of bone radiographs: healthy, fractured or beyond repair. "
    "A research tool, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(collection_app, name="collection")
app.add_typer(curate_app, name="curate")

Model = Annotated[str, typer.Argument(help="`bundled`, a checkpoint folder, or a Hub id.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub checkpoint.")]
Device = Annotated[str | None, typer.Option(help="torch device; a GPU where there is one, if left out.")]
BatchSize = Annotated[int, typer.Option(help="Images per forward pass.", min=1)]
Mirror = Annotated[bool, typer.Option("--mirror", help="Score each image mirrored left-right too, average the logits; twice the time.")]


@app.command()
def collect(
    out: Annotated[Path, typer.Option(help="Folder of the collection; made, or gone on with.")],
    recipe: Annotated[str, typer.Option(help="Whom to ask for what: a shipped recipe's name, or a YAML file.")] = "bones",
    provider: Annotated[list[str] | None, typer.Option(help="Ask only this provider of the recipe; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(help="Candidates of each search, instead of the recipe's limit.", min=1)] = None,
    contact: Annotated[str | None, typer.Option(help="E-mail address or page of yours, for the owners of sites.")] = None,
    unknown_licence: Annotated[str | None, typer.Option(help="`skip` or `fetch` what states no licence.")] = None,
    allow_private: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Your own server: an address, network or host name that may be private.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option(help="Ask again for URLs that failed, or led to a private address, in an earlier run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="List the candidates and their licences; fetch and write nothing.")] = False,
) -> None:
    """Collect images with their licences: search, fetch politely, decode, store by hash. Give it again to go on."""
    from collections import Counter

    from hf_bones.collect.command import Choices, collect_command, preview_command, preview_summary

    choices = Choices(tuple(provider or ()), limit, contact, unknown_licence, tuple(allow_private or ()), retry_failed)
    with plain_errors():
        if dry_run:
            counts: Counter[tuple[str, str, str, bool]] = Counter()
            for found in preview_command(recipe, choices):
                if found.candidate is None:
                    typer.echo(f"{found.provider}: {found.error}", err=True)
                    continue
                licence = found.candidate.licence
                counts[found.provider, found.label, licence, found.accepted] += 1
                typer.echo(f"{found.provider:<11}{found.label:<15}{licence:<26}{found.candidate.url}")
            typer.echo("\n".join(["", *preview_summary(counts)]))
            return
        result = collect_command(recipe, out, choices)
    typer.echo(f"this run: {result.stored} stored, {result.duplicates} seen before, {result.refused} refused, {result.failed} failed")
    typer.echo("collection: " + (", ".join(f"{count} {state}" for state, count in sorted(result.states.items())) or "empty"))
    for name, query, error in result.failed_searches:
        typer.echo(f"search failed, asked again next time: {name} {query!r}: {error}", err=True)
    for host, seconds in result.held_hosts.items():
        typer.echo(f"{host} asks to wait {seconds:.0f} s: give the command again then", err=True)
    if result.failed_searches:
        raise typer.Exit(1)


for command in (build, cache, look):
    app.command()(command)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
def train(context: typer.Context) -> None:
    """Fine-tune from a recipe, in this process (`hf-bones train --help` lists every key; several GPUs: accelerate launch)."""
    from hf_bones.finetune import main as finetune

    raise typer.Exit(finetune(context.args))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
def distill(context: typer.Context) -> None:
    """Train a small network under larger ones, with labels and without (`hf-bones distill --help` lists every key)."""
    from hf_bones.finetune import distill_main

    raise typer.Exit(distill_main(context.args))


@app.command()
def recipes() -> None:
    """List the recipes that ship with the package: of training, then of collections."""
    from hf_bones.collect.recipe import collect_recipe_names, load_collect_recipe
    from hf_bones.config.recipe import load_recipe, recipe_names

    told = {name: load_recipe(name).description for name in recipe_names()}
    told |= {name: f"{load_collect_recipe(name).description} (hf-bones collect)" for name in collect_recipe_names()}
    width = max(map(len, told)) + 2
    for name, description in told.items():
        typer.echo(f"{name:<{width}}{description}")


@app.command()
def accelerate_config(
    name: Annotated[str, typer.Argument(help="Which one; left out, all are listed with the machine that each is for.")] = "",
) -> None:
    """Print the path of a launch configuration: accelerate launch --config_file "$(hf-bones accelerate-config gpu)" scripts/train.py …"""
    from hf_bones.config.recipe import launch_config, recipe_names

    with plain_errors():
        if name:
            typer.echo(launch_config(name)[0])
            return
        for known in recipe_names("accelerate"):
            path, machine = launch_config(known)
            typer.echo(f"{known:<12}{machine}\n{'':<12}{path}")


@app.command()
def evaluate(
    model: Model,
    dataset: Annotated[str, typer.Argument(help="A folder that `hf-bones build` wrote, or a Hub id.")],
    out: Annotated[Path, typer.Option(help="Folder for report.md, metrics.json, plots and worst_errors.html.")],
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    batch_size: BatchSize = 16,
    mirror: Mirror = False,
    device: Device = None,
    revision: Revision = None,
    specificity: Annotated[float, typer.Option(help="Healthy specificity of the threshold figures.")] = 0.85,
    repeats: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of bootstrap and forest.")] = 0,
    baselines: Annotated[bool, typer.Option(help="Fit the majority and statistics-only baselines beside the model.")] = True,
    baseline_licence: Annotated[
        list[str] | None, typer.Option(help="Fit them on training rows of this licence only; may be repeated.")
    ] = None,
    worst: Annotated[int, typer.Option(help="Errors to show with pictures.")] = 40,
) -> None:
    """Score a checkpoint on a split, with intervals, baselines, plots and its worst errors. Looks at test are counted."""
    from hf_bones.evaluation.report.run import evaluate_checkpoint
    from hf_bones.evaluation.report.summary import summary_text

    with plain_errors():
        done = evaluate_checkpoint(
            model,
            dataset,
            out,
            split=split,
            batch_size=batch_size,
            mirror=mirror,
            device=device,
            revision=revision,
            specificity=specificity,
            repeats=repeats,
            seed=seed,
            baselines=baselines,
            baseline_licences=baseline_licence,
            worst=worst,
        )
    typer.echo(summary_text(done))


app.command(cls=SeedsCommand)(compare)
app.command()(resolution)
app.command()(augment_check)


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders to walk through.")],
    model: Annotated[str, typer.Option(help="`bundled`, a checkpoint folder, or a Hub id.")] = "bundled",
    csv: Annotated[Path | None, typer.Option(help="Write one row an image here instead of printing.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a CSV that is there, skipping the files it has.")] = False,
    batch_size: BatchSize = 16,
    mirror: Mirror = False,
    device: Device = None,
    revision: Revision = None,
) -> None:
    """Classify images. A file that cannot be read gets the verdict `unreadable` and the reason; the others go on."""
    from hf_bones.inference.folder import list_files, predict_paths
    from hf_bones.inference.predictor import BonePredictor

    with plain_errors():
        predictor = BonePredictor.from_pretrained(model, revision=revision, device=device)
        if csv is not None:
            verdicts = predict_paths(predictor, paths, csv, resume=resume, batch_size=batch_size, mirror=mirror)
            typer.echo(f"{csv}: " + ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items())))
            return
        for finding in predictor.predict_iter(list_files(paths), batch_size=batch_size, mirror=mirror):
            shares = " ".join(f"{name} {share:.2f}" for name, share in (finding.probabilities or {}).items())
            typer.echo(f"{finding.source}: {finding.verdict}  {shares or '; '.join(finding.reasons)}")


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder, as `hf-bones train` writes it.")],
    repo_id: Annotated[str, typer.Argument(help="Model repository on the Hub: owner/name.")],
    evaluation: Annotated[Path | None, typer.Option(help="Folder that `hf-bones evaluate` wrote: its figures go into the card.")] = None,
    keep_card: Annotated[bool, typer.Option(help="Push README.md as it is instead of writing it anew.")] = False,
    public: Annotated[bool, typer.Option(help="Make a new repository public.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Write the card, check and list the files; send nothing.")] = False,
) -> None:
    """Write a checkpoint's card and push it to the Hub, in one commit. Needs `hf auth login` or HF_TOKEN."""
    from hf_bones.hub.card import write_card
    from hf_bones.hub.push import push_checkpoint

    with plain_errors():
        if keep_card and evaluation:
            raise ValueError("--keep-card and --evaluation exclude each other: figures are put in by writing the card anew")
        if not keep_card:
            write_card(folder, name=repo_id, evaluation=evaluation)
        pushed = push_checkpoint(folder, repo_id, private=not public, revision=revision, commit_message=message, dry_run=dry_run)
    typer.echo("\n".join(pushed.files))
    typer.echo(f"would push to {pushed.url}" if pushed.commit is None else f"pushed to {pushed.url} at {pushed.commit}")


@app.command()
def demo(
    model: Annotated[str, typer.Option(help="`bundled`, a checkpoint folder, or a Hub id.")] = "bundled",
    revision: Revision = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; the first free one from 7860 if left out.")] = None,
    share: Annotated[bool, typer.Option(help="Also open a public gradio link.")] = False,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Open the web demo."""
    from hf_bones.app import launch

    with plain_errors():
        launch(model, revision=revision, host=host, port=port, share=share, open_browser=browser)


@app.command()
def review(
    place: Annotated[Path, typer.Argument(metavar="COLLECTION|DATASET", help="A collection's folder, or one that `hf-bones build` wrote.")],
    reviewer: Annotated[str, typer.Option(help="Your name, which signs your decisions; the page asks for it if left out.")] = "",
    labels: Annotated[str, typer.Option(help="Classes to give: three-class, two-class or a YAML file.")] = "three-class",
    model: Annotated[str, typer.Option(help="Whom to ask for a view: `bundled`, a checkpoint folder, or a Hub id.")] = "bundled",
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; the first free one from 7860 if left out.")] = None,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Look through images: filter, page, see one large beside its near-duplicates, relabel, drop, restore; two reviewers and kappa."""
    from hf_bones.app.review.page import launch_review

    with plain_errors():
        launch_review(place, reviewer=reviewer, labels=labels, model=model, host=host, port=port, open_browser=browser)


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for the dataset, the checkpoint and the report.")] = Path("quickstart"),
    images: Annotated[int, typer.Option(help="Radiographs to draw.", min=30)] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the drawings and of training.")] = 0,
) -> None:
    """The whole way in a few minutes on drawn radiographs: draw, build, fine-tune under accelerate, evaluate."""
    from hf_bones.quickstart import run

    with plain_errors():
        run(out, images=images, seed=seed)


def main() -> None:
    """Entry point of the `hf-bones` command."""
    sys.exit(app())


if __name__ == "__main__":
    main()
