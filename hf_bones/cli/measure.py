"""`hf-bones evaluate`, `calibrate`, `audit`, `site`, `compare`, `resolution`, `augment-check`: what a model, size or policy is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_bones.cli.commands import RecipeKeys
from hf_bones.cli.errors import FAILED
from hf_bones.cli.options import Dataset, Model, ModelOption
from hf_bones.cli.output import answer
from hf_bones.evaluation.audit.choices import AuditChoices
from hf_bones.evaluation.augmentation.choices import AugmentCheckSettings, Criteria
from hf_bones.evaluation.calibrate.choices import CalibrateChoices
from hf_bones.evaluation.compare.choices import CompareChoices
from hf_bones.evaluation.patch_join_choices import PatchJoinChoices, SecondLookChoices
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.resolution.choices import ResolutionChoices
from hf_bones.evaluation.site.choices import SiteChoices
from hf_bones.record import command_line, read_json

# Keys of a recipe that a comparison decides, or gives another meaning to as an option of its own (--set still takes the latter).
OF_A_COMPARISON = (
    "dataset", "output_dir", "seed", "train_licences", "drawn_validation_images", "push_to_hub", "resume", "batch_size", "recipe",
)  # fmt: skip


def evaluate(
    model: Model,
    dataset: Dataset,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for report.html, report.md, metrics.json, plots and worst_errors.html.")
    ],
    choices: EvaluateChoices,
) -> None:
    """Score a checkpoint on a split, with intervals, baselines, plots and its worst errors. Looks at test are counted."""
    from hf_bones.evaluation.report.run import evaluate_checkpoint
    from hf_bones.evaluation.report.summary import summary_text

    done = evaluate_checkpoint(model, dataset, out, choices, command=command_line())
    answer(read_json(done.metrics), [summary_text(done)])


def site(
    films: Annotated[Path, typer.Argument(metavar="FILMS.csv", help="Table of your films: file, label, optional patient, region, age …")],
    *,
    model: ModelOption = "bundled",
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for report.html, site.json, films.csv, plots, claim.yaml and decision.json.")
    ],
    choices: SiteChoices,
) -> None:
    """Validate a checkpoint on your own labelled films: figures with intervals, subgroups, a refitted threshold, the CLAIM checklist.

    No film leaves the machine. With --compare it says what has moved since an earlier run.
    """
    from hf_bones.evaluation.site.run import validate_site

    done = validate_site(films, model, out, choices, command=command_line())
    answer(done.written, done.lines)


def audit(
    model: Model,
    dataset: Dataset,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for audit.html, audit.md, audit.json, plots and what is kept.")],
    choices: AuditChoices,
) -> None:
    """Does a checkpoint read the bone, or something that goes with it? Ten parts on one page. Run it again to resume."""
    from hf_bones.evaluation.audit.report import terminal_lines
    from hf_bones.evaluation.audit.run import audit as run_audit
    from hf_bones.training.run.lock import run_lock

    with run_lock(out, "--out"):
        done = run_audit(model, dataset, out, choices, command=command_line())
    answer(read_json(done.data), terminal_lines(done))


OwnFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A checkpoint of your own, with a patch head.")]


STALE_CARD = "its card tells of the answers before: `hf-bones evaluate` measures the new ones, `hf-bones push` writes the card anew"


def join_patches(
    model: OwnFolder,
    dataset: Dataset,
    choices: PatchJoinChoices,
) -> None:
    """Fit how the patches of a film join its answer, on films that a checkpoint did not learn from, and write it into its decision.json."""
    from hf_bones.evaluation.patch_joins import fit_patches_of
    from hf_bones.inference.join_fit import join_line

    join = fit_patches_of(model, dataset, choices)
    answer(join.as_dict(), [join_line(join), f"written: {model / 'decision.json'}; every answer has it from now on", STALE_CARD])


def second_look(
    model: OwnFolder,
    dataset: Dataset,
    choices: SecondLookChoices,
) -> None:
    """Fit what `--zoom` needs on films that a checkpoint did not learn from, and write it into its decision.json."""
    from hf_bones.evaluation.patch_joins import fit_second_look_of
    from hf_bones.inference.join_fit import join_line

    look = fit_second_look_of(model, dataset, choices)
    answer(
        look.as_dict(),
        [join_line(look), f"written: {model / 'decision.json'}; `hf-bones predict --zoom` and `evaluate --zoom` use it", STALE_CARD],
    )


def calibrate(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A checkpoint folder of your own; with --out also `bundled` or a Hub id.")],
    dataset: Dataset,
    choices: CalibrateChoices,
    out: Annotated[Path | None, typer.Option(file_okay=False, help="New folder for a calibrated copy, instead of changing RUN.")] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="Scaling, error levels and costs: a shipped recipe, or a YAML file.")] = (
        "standard"
    ),
) -> None:
    """Make probabilities mean what they say, and fit from which doubt on a film is referred, on films that RUN did not learn from.

    Writes decision.json, and calibration.json, calibration.md (.html) and plots beside it. A class with too few films for its error level
    is refused by name. With --cost-miss and --cost-alarm a film is called normal from P(normal) = miss / (miss + alarm) on.
    """
    from hf_bones.evaluation.calibrate.report import RECORD, terminal_lines
    from hf_bones.evaluation.calibrate.run import calibrate_checkpoint
    from hf_bones.evaluation.gate.of_checkpoint import fit_gate_of
    from hf_bones.evaluation.places.of_checkpoint import fit_boxes_of

    done = calibrate_checkpoint(model, dataset, out, choices, recipe=recipe, command=command_line())
    films: dict[str, Any] = {"licences": choices.licences, "sources": choices.sources}
    run: dict[str, Any] = {"batch_size": choices.batch_size, "device": choices.device}
    if choices.boxes:
        fit_boxes_of(done.folder, dataset, split=choices.split, **films, **run)
    if choices.gate:
        fit_gate_of(done.folder, dataset, settings=done.recipe.gate, **films, **run)
    answer(read_json(done.folder / RECORD), [*terminal_lines(done), STALE_CARD])


def compare(
    recipes: Annotated[list[str] | None, typer.Argument(metavar="RECIPE", help="Shipped recipes by name, or YAML files.")] = None,
    *,
    dataset: Annotated[str, typer.Option(help="A folder that `hf-bones build` wrote, or a Hub id; all recipes train on it.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the leaderboard, and for the runs, which are kept in it.")],
    choices: CompareChoices,
    keys: RecipeKeys,
) -> None:
    """Train recipes on one dataset and rank them by validation, test shown beside it, or each source held out in turn. Run it again to
    resume.

    Keys of a recipe that are given as options are changed in all recipes alike.
    """
    from dataclasses import replace

    from hf_bones.evaluation.compare.report import terminal_lines
    from hf_bones.evaluation.compare.run import compare as run_comparison
    from hf_bones.finetune import run
    from hf_bones.training.run.lock import run_lock

    alike = tuple(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in keys.items())
    choices = replace(choices, settings=(*alike, *choices.settings))
    if choices.leave_one_source_out:
        _compare_left_out(recipes or [], dataset, out, choices)
        return
    with run_lock(out, "--out"):
        done = run_comparison(recipes or [], dataset, out, choices, train=run, command=command_line())
    lines = [*terminal_lines(done), f"leaderboard: {out / 'leaderboard.md'} (.html, .csv, .json and .png beside it)"]
    answer(read_json(out / "leaderboard.json"), lines)
    if done.failures:
        raise typer.Exit(FAILED)


def _compare_left_out(recipes: list[str], dataset: str, out: Path, choices: CompareChoices) -> None:
    from hf_bones.evaluation.compare.left_out import compare_left_out
    from hf_bones.evaluation.compare.left_out_report import terminal_lines
    from hf_bones.finetune import run
    from hf_bones.training.run.lock import run_lock

    with run_lock(out, "--out"):
        done = compare_left_out(recipes, dataset, out, choices, train=run, command=command_line())
    lines = [*terminal_lines(done), f"report: {out / 'sources.md'} (.html, .csv and .json beside it)"]
    answer(read_json(out / "sources.json"), lines)
    if done.failures:
        raise typer.Exit(FAILED)


def resolution(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Collection, built dataset, folder of images, CSV or Parquet table.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for report.html, report.md, resolution.json, plots and frozen features.")
    ],
    choices: ResolutionChoices,
    recipe: Annotated[str, typer.Option(help="Recipe whose `opinions` say how to cross-validate: a shipped name, or a YAML file.")] = (
        "radiographs"
    ),
) -> None:
    """Which size to train at: what the images' sizes say and, with --measure, what each is worth and costs. Run it again to resume."""
    from hf_bones.curation.recipe import load_curate_recipe
    from hf_bones.evaluation.resolution.report import advice_sentence, caveats, figures_table
    from hf_bones.evaluation.resolution.run import advise_resolution

    found = advise_resolution(place, out, choices, settings=load_curate_recipe(recipe).opinions, command=command_line())
    lines = [*figures_table(found)]
    if found.measured is not None:
        lines += ["", advice_sentence(found.measured), *(f"- {caveat}" for caveat in caveats(found))]
    answer(read_json(out / "resolution.json"), [*lines, f"report: {out / 'report.md'} (report.html beside it is the same as a page)"])


def augment_check(
    choices: AugmentCheckSettings,
    criteria: Criteria,
    datasets: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATASET", help="Folders that `hf-bones build` wrote, or Hub ids, with fracture boxes."),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe whose policy and input size are checked: a shipped name, or a YAML file.")
    ] = "bundled",
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for augment_check.html, .md and .json, a plot and contact sheets.")
    ] = Path("augment-check"),
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe, such as zoom=2; may be repeated."),
    ] = None,
) -> None:
    """Does augmentation keep the break in view, its contrast and its angles? Exits with 1 where the recipe's policy does not."""
    from hf_bones.config.recipe import load_recipe, override
    from hf_bones.evaluation.augmentation.check import DATA, MARKDOWN, check_augmentation
    from hf_bones.evaluation.augmentation.report import remarks, short_table, verdict

    chosen = override(load_recipe(recipe), parse_changes(change or ()), "--set")
    found = check_augmentation(chosen, datasets or (), out, settings=choices, criteria=criteria, command=command_line())
    lines = [*short_table(found), verdict(found), *(f"- {remark}" for remark in remarks(found)), f"report: {out / MARKDOWN}"]
    answer(read_json(out / DATA), lines)
    if not found.passes:
        raise typer.Exit(FAILED)


def parse_changes(changes: list[str] | tuple[str, ...]) -> dict[str, object]:
    """Recipe keys and values from "KEY=VALUE", each value read as YAML. Raises ValueError naming what has no `=`."""
    from hf_bones.config.loading import parse_yaml

    found: dict[str, object] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change!r}: expected KEY=VALUE, as in zoom=2")
        found[key.strip()] = parse_yaml(value, f"--set {change[:200]!r}")
    return found
