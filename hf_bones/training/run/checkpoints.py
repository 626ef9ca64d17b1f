"""Checkpoints on disk: the one to resume from, reading weights back whole, and the finished folder that others load."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from hf_bones.config.fields import is_removed
from hf_bones.config.loading import parse_json
from hf_bones.config.recipe import STAGES, RecipeError, TrainConfig
from hf_bones.preprocess import InputSpec, image_processor
from hf_bones.record import read_json, write_json
from hf_bones.training.backbone.auxiliary import NAME, detached_state
from hf_bones.training.backbone.loading import head_of
from hf_bones.training.backbone.lora import with_matrices
from hf_bones.training.backbone.one_channel import three_channel_state
from hf_bones.training.errors import DamagedCheckpointError
from hf_bones.training.processes import first_process_says, require_shared
from hf_bones.training.run.hashes import damaged_files
from hf_bones.training.run.sharding import SPLIT_OPTIMISER, local_part, read_state

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
START = "start"  # folder, in the run's, of the weights from before the first step
# What may differ between a run and its resumption: places, speed, what is said of the run, and what is done after its last step.
FREE = {
    "output_dir", "resume", "processes", "data_loader_workers", "push_to_hub", "report_to", "eval_batch_size", "use_arrays", "arrays_dir",
    "stream_dir", "stream_gb", "cached_dir", "with_baseline", "spike_factor", "spike_logs", "skipped_steps", "balanced_verdicts",
    "attribution", "label_noise", "patch_head", "join_patches", "second_look",
    "verdict_copies",
}  # fmt: skip
CHECKPOINT_FILES = ("model.safetensors", "scheduler.pt", "trainer_state.json")
OPTIMISER_FILES = ("optimizer.pt", SPLIT_OPTIMISER)  # one of them


@dataclass(frozen=True)
class Earlier:
    """What earlier runs left in a run's folder: the checkpoint to resume from, if any, whether there is a fitted start, and folders that
    a run which starts over is to delete: stopped itself, it would resume from theirs."""

    start: Path
    checkpoint: Path | None
    has_start: bool
    outdated: list[Path]

    def delete_outdated(self) -> None:
        """Deletes what a run that starts over does not want, saying so; of a link only the link."""
        for folder in self.outdated:
            if folder.is_symlink():
                folder.unlink()
            else:
                shutil.rmtree(folder)
        if self.outdated:
            print(
                f"starting    over in {self.start.parent}: what an earlier run had kept to resume from is deleted "
                f"({len(self.outdated)} folders)"
            )


def earlier_work(run: Mapping[str, Any], config: TrainConfig) -> Earlier:
    """Notes a recipe (`comparable`) in its output folder and gives what is there of it, the same in all processes.

    Raises `RecipeError` as `prepare_output`, and where not every machine sees the folder.
    """
    output = Path(config.output_dir)
    outdated = [] if config.resume else earlier_checkpoints(output)
    has_start, checkpoint = first_process_says(
        lambda: (config.resume and has_fitted_start(run, output), prepare_output(run, output, config.resume))
    )
    require_shared(output / RUN_FILE, "output_dir")
    return Earlier(output / START, checkpoint, has_start, outdated)


def prepare_output(run: Mapping[str, Any], output: Path, resume: bool) -> Path | None:
    """Notes a recipe (`comparable`) in the output folder and gives the checkpoint to resume from, if any and if asked to.

    Raises `RecipeError` when the folder holds another recipe's run, naming the keys that differ.
    """
    latest = last_complete_checkpoint(output) if resume else None
    if latest is not None:
        differing = differing_keys(run, output)
        if differing:
            raise RecipeError(
                f"output_dir: {output} holds a run whose {', '.join(differing)} differ; choose another output_dir, "
                "or start over in this one with --resume false"
            )
        set_damaged_aside(output)
        return latest
    if int(os.environ.get("RANK", "0")) == 0:
        if resume:
            set_damaged_aside(output)
        write_json(output / RUN_FILE, run)
    return None


def earlier_checkpoints(output: Path) -> list[Path]:
    """Folders that a run in `output` kept to resume from; ask before `prepare_output`, and nothing where no run has been."""
    if not (output / RUN_FILE).is_file():
        return []
    return [path for path in (*output.glob("checkpoint-*"), output / START) if path.is_dir()]


def differing_keys(run: Mapping[str, Any], output: Path) -> list[str]:
    """Keys in which the run that `output` notes is another one than `run` (`comparable`); all of them where it notes none.

    A key that the run did not know, since it is newer than that run, counts as left at its default.
    """
    theirs = read_json(output / RUN_FILE) if (output / RUN_FILE).is_file() else {}
    if theirs:
        defaults = json.loads(json.dumps({key: value for stage in STAGES.values() for key, value in vars(stage()).items()}))
        noted = {key: value for key, value in theirs.items() if key not in FREE and not is_removed(key, f"{output / RUN_FILE}: {key}")}
        theirs = {key: defaults[key] for key in run if key in defaults} | noted
    return sorted(key for key in {*run, *theirs} if run.get(key) != theirs.get(key))


def has_fitted_start(run: Mapping[str, Any], output: Path) -> bool:
    """Whether an earlier try at the same run (`comparable`) had already fitted its head; ask before `prepare_output` notes the recipe."""
    if not (output / START).is_dir() or not (output / RUN_FILE).is_file() or differing_keys(run, output):
        return False
    if damaged := damaged_files(output / START):
        log.warning("%s is damaged (%s: not as written): its head is fitted again", output / START, ", ".join(damaged))
    return not damaged


def comparable(data: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe (`Recipe.as_dict`) as flat JSON data, without what may differ between a run and its resumption."""
    stages = {key: value for stage in STAGES if stage in data for key, value in data[stage].items() if key not in FREE}
    return json.loads(json.dumps({**stages, "trainer": data["trainer"]}))


def last_complete_checkpoint(output: Path) -> Path | None:
    """The newest `checkpoint-N` that was written to its end, and whose files are as they were written; a warning names those passed over.

    Its hashes come last. A run that is killed between its trainer_state.json and them leaves a whole one, which cannot be checked.
    """
    for folder in numbered(output):
        damaged = damaged_files(folder)
        if not damaged and is_complete(folder):
            return folder
        what = f"damaged ({', '.join(damaged)}: not as written)" if damaged else "incomplete (the run was stopped while saving it)"
        log.warning("%s is %s: passed over", folder, what)
    return None


def numbered(output: Path) -> list[Path]:
    """The folders `checkpoint-N` of a run, newest first; what has no number is none."""
    found = [path for path in output.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)


def is_complete(folder: Path) -> bool:
    """Whether all that a run resumes from was written; trainer_state.json comes after the weights and the optimiser."""
    whole = all((folder / name).is_file() for name in CHECKPOINT_FILES) and any((folder / name).is_file() for name in OPTIMISER_FILES)
    return whole and _parses(folder / "trainer_state.json")


def set_damaged_aside(output: Path) -> None:
    """Gives damaged checkpoints another name, so that neither the Trainer counts them among its last ones nor a later run chooses them."""
    for folder in numbered(output):
        if damaged_files(folder):
            target = folder.with_name(f"damaged-{folder.name}")
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)
            log.warning("%s is kept as %s: delete it once nobody wants to look at it", folder, target.name)


def best_whole_checkpoint(output: Path, best: Path, history: Sequence[Mapping[str, Any]]) -> Path:
    """`best` where its weights are as they were written; else, of the other whole checkpoints, the one that scored highest on validation.

    `history` is the Trainer's. Raises `DamagedCheckpointError` where none is whole.
    """
    if not best.is_dir():
        best = output / best.name  # the run's folder was moved
    damaged = damaged_files(best) if best.is_dir() else ["it is gone"]
    if not damaged:
        return best
    scores = {entry["step"]: entry["eval_selection"] for entry in history if "eval_selection" in entry}
    others = [folder for folder in numbered(output) if folder != best and is_complete(folder) and not damaged_files(folder)]
    if not others:
        raise DamagedCheckpointError(
            f"{best}: its best checkpoint is damaged ({', '.join(damaged)}: not as written), and there is no other. "
            "Start over with --resume false, or in another output_dir"
        )
    chosen = max(others, key=lambda folder: scores.get(int(folder.name.rpartition("-")[2]), float("-inf")))
    log.warning("%s is damaged (%s: not as written): the best of the others is taken, %s", best, ", ".join(damaged), chosen)
    return chosen


def _parses(path: Path) -> bool:
    try:
        parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def stored_dtype(name: str, tensor: torch.Tensor, save_dtype: str) -> torch.dtype:
    """The type in which a weight is written. With `float8`, matrices of the blocks take a byte each (e4m3), everything else two."""
    if not tensor.is_floating_point() or save_dtype == "float32":
        return tensor.dtype
    if save_dtype == "float16":
        return torch.float16
    if save_dtype == "float8":
        in_block = tensor.ndim == 2 and any(part.isdigit() for part in name.split("."))
        return torch.float8_e4m3fn if in_block else torch.float16
    raise RecipeError(f"save_dtype: expected float32, float16 or float8, got {save_dtype!r}")


def round_weights(model: PreTrainedModel, save_dtype: str) -> None:
    """Rounds the weights, in place, to what `save_checkpoint` will store, so that what is measured is what is shipped."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            part = local_part(tensor)
            part.copy_(part.to(stored_dtype(name, tensor, save_dtype)).to(part.dtype))


def shift_biases(model: PreTrainedModel, shift: np.ndarray, save_dtype: str) -> np.ndarray:
    """Adds `shift` (C,) to the biases of the head, in place, rounded as `round_weights` does; returns what was really added, (C,).

    Raises `RecipeError` where the head has no biases.
    """
    if head_of(model).bias is None:
        raise RecipeError(f"balanced_verdicts and model: the head of {type(model).__name__} has no biases; set balanced_verdicts to false")
    name = next(name for name, parameter in model.named_parameters() if parameter is head_of(model).bias)
    bias = head_of(model).bias.data
    before = bias.clone()
    moved = before + torch.as_tensor(shift, dtype=bias.dtype, device=bias.device)
    bias.copy_(moved.to(stored_dtype(name, bias, save_dtype)).to(bias.dtype))
    return np.asarray((bias - before).cpu(), dtype=np.float64)


def save_checkpoint(model: PreTrainedModel, spec: InputSpec, folder: Path, save_dtype: str = "float32") -> None:
    """Writes model, config and processor as plain transformers files.

    A file in a smaller type still says `"dtype": "float32"` in its config, so that it is loaded and run in single precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = three_channel_state(model, detached_state(model))
    state = {name: tensor.to(stored_dtype(name, tensor, save_dtype)).contiguous() for name, tensor in state.items()}
    model.save_pretrained(folder, state_dict=state)
    (folder / "model.safetensors").chmod(0o644)  # others are to read it; transformers leaves it to its owner
    config = read_json(folder / "config.json")
    for part in (config, config.get("backbone_config", {})):
        if "num_channels" in part:
            part["num_channels"] = 3
    write_json(folder / "config.json", {**config, "dtype": "float32"})
    image_processor(spec).save_pretrained(folder)


def load_weights(model: PreTrainedModel, folder: Path) -> None:
    """Reads a checkpoint's weights into `model`, in place; every weight must be there. In a run of several processes, call it in all.

    The Trainer's own way hands the file's names to `load_state_dict(strict=False)`. transformers 5 saves some networks (DINOv2, ViT)
    under other names than the modules have, so that way leaves attention weights as they were and only warns.
    """
    stored = type(model).from_pretrained(folder, config=model.config, dtype=torch.float32, use_safetensors=True)
    state = stored.state_dict()
    if hasattr(model, NAME):  # from_pretrained knows nothing of the further heads
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            state |= {name: file.get_tensor(name) for name in file.keys() if name.startswith(f"{NAME}.")}  # noqa: SIM118
    read_state(model, with_matrices(model, state, folder))
