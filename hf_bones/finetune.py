"""One whole fine-tuning run, from a recipe to a checkpoint that can be loaded, judged and pushed.

train or distil (training) → calibrate on validation (inference) → curves, record.json, model card → push (hub). `hf-bones train` and
`distill`, their scripts, the quickstart and `hf-bones compare` all come through `run`. Heavy libraries are imported inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bones.config.recipe import DataConfig, DistillConfig, ModelConfig, Recipe, TrainConfig, override
from hf_bones.config.rules import check_rules
from hf_bones.metrics.by_source import worst_source_line
from hf_bones.metrics.headlines import ALONE, TITLES, TRAINING
from hf_bones.reach import require_there

if TYPE_CHECKING:
    import numpy as np
    from transformers import TrainerCallback

    from hf_bones.inference.decision import DecisionRule
    from hf_bones.training.run.result import TrainedModel


def run(recipe: Recipe) -> Path:
    """Trains (and distils, where the recipe has teachers), calibrates, records and, where asked, pushes.

    Returns the folder of the finished checkpoint.
    """
    from hf_bones.training.run.lock import run_lock

    check_rules(recipe)  # before its data is looked for; a run asks again, for what is called by itself
    check_places(recipe)
    with run_lock(Path(recipe.training.output_dir)):
        return _run(recipe)


def check_places(recipe: Recipe) -> None:
    """Looks, before anything heavy is loaded, whether the places that a recipe names are there, or may be had.

    Raises FileNotFoundError or `UnreachedError` naming the key, within 3 s for each.
    """
    if recipe.data.dataset:
        require_there(recipe.data.dataset, "dataset", "--dataset")
    models = [("model", recipe.model.model), *(("teacher", name) for name in recipe.distill.teacher)]
    for option, name in models:
        shipped = resources.files("hf_bones") / "recipes" / "architectures" / name
        if name != "bundled" and not shipped.is_dir():
            require_there(name, "model", f"--{option}")


def _run(recipe: Recipe) -> Path:
    from hf_bones.record import now
    from hf_bones.training.processes import finish_processes

    started = now()
    trained = fit(recipe, finished=recipe.distill.with_baseline)  # finished already, should the second run be stopped
    folder = Path(recipe.training.output_dir)
    if recipe.distill.with_baseline:
        from hf_bones.training.distill.labels_alone import labels_alone

        made = trained.distillation or {}
        changes = labels_alone(recipe.name, recipe.training, recipe.trainer, made["steps"], made["steps_an_epoch"])
        alone_recipe, alone_started = replace(recipe, **changes), now()
        alone = fit(alone_recipe)
    finish_processes()  # the others need not wait for what the first one still does
    if not trained.is_main_process:
        return folder
    if recipe.distill.with_baseline and trained.distillation is not None:
        from hf_bones.training.distill.labels_alone import compare_with_labels_alone, comparison_lines

        finish(alone_recipe, alone, alone_started)
        trained.distillation["labels_alone"] = compare_with_labels_alone(trained, alone)
        print("\n".join(f"validation  {line}" for line in comparison_lines(trained.distillation["labels_alone"])))
    finish(recipe, trained, started)
    _report(folder, trained.metrics, trained.data)
    if recipe.training.push_to_hub:
        from hf_bones.hub.push import push_checkpoint

        print(f"pushed      {push_checkpoint(folder, recipe.training.push_to_hub).url}")
    return folder


def fit(recipe: Recipe, callbacks: Sequence[TrainerCallback] = (), *, finished: bool = False) -> TrainedModel:
    """The training itself, under the recipe's teachers where it has any; `callbacks` go to the Trainer. `finished`: the checkpoint is
    finished too, as that of a search's trial is."""
    from hf_bones.record import now

    started = now()
    if recipe.distill.is_on:
        from hf_bones.training.distill.run import distill

        trained = distill(recipe, callbacks=callbacks)
    else:
        from hf_bones.training.trainer import train

        trained = train(recipe, callbacks=callbacks)
    if finished and trained.is_main_process:
        finish(recipe, trained, started)
    return trained


def finish(recipe: Recipe, trained: TrainedModel, started: str) -> None:
    """Writes the finished checkpoint: weights, calibration, the films it has seen, curves, record and card."""
    from hf_bones.hub.card import write_card
    from hf_bones.inference.checkpoint import find_seen_films
    from hf_bones.inference.decision import calibrate, write_decision
    from hf_bones.record import command_line, environment, now, public_name, read_json, write_json
    from hf_bones.training.backbone.patch_head import write_patch_head
    from hf_bones.training.run.checkpoints import save_checkpoint
    from hf_bones.training.run.curves import plot_curves
    from hf_bones.training.run.seen import write_seen
    from hf_bones.training.run_scheme import with_scheme

    recipe = with_scheme(recipe, trained.scheme)
    folder = Path(recipe.training.output_dir)
    save_checkpoint(trained.model, trained.spec, folder, recipe.training.save_dtype)
    write_patch_head(trained.patch_head, folder)
    decision = calibrate(trained.logits, trained.labels, scheme=trained.scheme, image_size=trained.spec.size, copies=trained.copies)
    write_decision(decision, folder)
    if recipe.training.join_patches or recipe.training.second_look:
        add_patch_joins(recipe.training, trained, decision)
    if trained.rows is not None:
        start = recipe.model
        write_seen(folder, trained.rows, None if start.from_scratch else find_seen_films(start.model, start.revision))
    if any("eval_loss" in entry for entry in trained.history):
        plot_curves(trained.history, folder / "curves.png")
    names = {"output_dir": public_name(folder), **public_places(recipe.data, recipe.model, recipe.distill)}
    shared = override(recipe, names)
    earlier = folder / "record.json"
    looks = read_json(earlier).get("test_looks", []) if earlier.is_file() else []  # a run that is repeated has not unseen the test films
    write_json(
        folder / "record.json",
        {
            "schema_version": 1,
            "command": command_line(),
            "recipe": shared.as_dict(),
            "base_model": shared.model.model,
            "base_model_id": recipe.model.base_model_id,
            "data": trained.data,
            **({"distillation": trained.distillation} if trained.distillation else {}),
            **({"verdict_shift": trained.verdict_shift} if trained.verdict_shift else {}),
            "metrics": {"validation": trained.metrics},
            "history": trained.history,
            "train_seconds": trained.seconds,
            "environment": environment(),
            "started": started,
            "finished": now(),
            "test_looks": looks,
        },
    )
    write_card(folder)


def add_patch_joins(config: TrainConfig, trained: TrainedModel, decision: DecisionRule) -> None:
    """Fits on the validation images how patches join an answer, and a second look, and writes them into the checkpoint's decision.json.

    Where neither can be fitted, or patches cost out of fold, the checkpoint stays without, and the run says why. A second look is asked for
    film by film (`--zoom`), so one that costs is told and kept.
    """
    from tqdm import tqdm

    from hf_bones.inference.decision import write_decision
    from hf_bones.inference.join_fit import film_views, fit_patches, fit_second_look, join_line, pays
    from hf_bones.inference.predictor import BonePredictor

    folder = Path(config.output_dir)
    if trained.patch_head is None or trained.rows is None:
        print("note        patches join no answer: the start was kept, so no patch head was trained")
        return
    predictor = BonePredictor.from_pretrained(folder, device="cpu" if config.cpu else None)
    sources = trained.rows[1].sources

    def films(told: str) -> Iterator[np.ndarray]:
        pixels = (source.pixels(row) for source in sources for row in range(len(source)))
        yield from tqdm(pixels, total=len(trained.labels), desc=told, unit="image", disable=None)

    truth = (trained.labels, trained.groups)
    balanced = trained.verdict_shift is not None or config.sampling == "source"  # its logits hold all classes for equally frequent
    try:
        calibrated = trained.logits / decision.temperature
        if config.join_patches:
            logits, evidence = film_views(predictor, films("patches of validation"), config.eval_batch_size)
            patches = fit_patches(decision, logits, evidence, *truth, balanced=balanced)
            print(f"patches     {join_line(patches)}")
            if pays(patches):
                decision = replace(decision, patches=patches)
                calibrated = decision.calibrated(logits, evidence)
            else:
                print("note        patches join no answer: they rank films that they were not fitted to worse than the network alone does")
        if config.second_look:
            evidence = predictor.evidence(films("second look at validation"), batch_size=config.eval_batch_size)
            look = fit_second_look(decision, calibrated, evidence, *truth, balanced=balanced)
            print(f"second look {join_line(look)}")
            decision = replace(decision, second_look=look)
    except ValueError as error:
        print(f"note        not fitted: {error}")
        return
    write_decision(decision, folder)


def public_places(data: DataConfig, model: ModelConfig, distill: DistillConfig) -> dict[str, Any]:
    """The keys of a recipe that name places, as they go into a record that is pushed: names instead of this machine's folders."""
    from hf_bones.record import public_name

    changes: dict[str, Any] = {"label_scheme": Path(data.label_scheme).name}
    if Path(model.model).is_dir():
        changes["model"] = model.base_model_id or public_name(model.model)
    for key in ("arrays_dir", "stream_dir"):
        if getattr(data, key):
            changes[key] = public_name(getattr(data, key))
    if data.dataset:
        changes["dataset"] = data.dataset_id or public_name(data.dataset)
    if distill.is_on:
        places = ("teacher", "teacher_probabilities", "unlabelled")
        changes |= {key: [public_name(place) for place in getattr(distill, key)] for key in places}
    return changes


def _report(folder: Path, metrics: dict[str, Any], data: dict[str, Any]) -> None:
    print("validation  " + "; ".join(f"{TITLES[key]} {metrics[key]:{ALONE}}" for key in TRAINING))
    if said := worst_source_line(metrics):
        print(f"worst       {said}")
    print(f"checkpoint  {folder} (record.json, README.md and, of a run with steps, curves.png beside it)")
    if data["synthetic_only"]:
        print("note        it learnt from drawn radiographs only: a demonstration, useless on real ones")
