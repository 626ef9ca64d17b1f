"""The frozen part's output for every training and validation image: computed once, kept in files, read in every epoch.

Training images are kept in N views: view 0 is the image itself, each other one an augmentation of it. A file holds one view of one
split, in whole chunks, so that a stopped run resumes where it was. Folder and file are named by a hash of all that the values depend on:
another network has another folder, other rows and another augmentation have other files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import DataCollator, PreTrainedModel, Trainer, TrainingArguments

from hf_bones.config.recipe import AugmentConfig, RecipeError, TrainConfig
from hf_bones.preprocess import InputSpec
from hf_bones.record import write_json
from hf_bones.training.cached_views.cut import NetworkCut, find_cut, frozen_output, start_at_cut
from hf_bones.training.cached_views.rows import CHUNK, CachedViewFile, CachedViewRows, collate_cached_views, view_position
from hf_bones.training.data import tiles
from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_to_input

FOLDER = "kept"
CHECKED = 4  # images on which the cut is tried first
_LAYOUT = 1
_FIRST_KEYS = {
    "augment", "rotation_degrees", "scale", "shift", "horizontal_flip", "vertical_flip", "gamma", "contrast", "brightness", "zoom",
    "zoom_probability", "keep_in_view",
}  # fmt: skip
"""Keys of `augment` that the names of files have always told."""


@dataclass(frozen=True, eq=False)
class Keeping:
    """What the frozen part's output is computed with: the network and where it is cut, its input, the augmentation of its views, and the
    Trainer's arguments."""

    config: TrainConfig
    policy: AugmentConfig
    model: PreTrainedModel
    spec: InputSpec
    cut: NetworkCut
    arguments: TrainingArguments


def keep_frozen_output(
    trainer: Trainer,
    config: TrainConfig,
    trainable: str,
    policy: AugmentConfig,
    spec: InputSpec,
    hashes: dict[str, list[str]],
    epoch_length: int | None = None,
) -> tuple[CachedViewRows, CachedViewRows, DataCollator]:
    """Computes what is not on disk yet; the trainer's network then goes on from kept output.

    Returns the training and validation rows to read it from, and their collator. `hashes` are those of the images of `train` and
    `validation`; for `epoch_length` see `CachedViewRows`. In a run of several processes each computes its share of the chunks. Raises
    `RecipeError` for rows and networks that do not go with it, and before any work where the disk is too small.
    """
    if not isinstance(trainer.train_dataset, TrainingRows):
        raise RecipeError("cached_views and distill: a teacher looks at the images themselves in each epoch; set cached_views to 0")
    dtype = config.cached_dtype
    model, arguments = trainer.accelerator.unwrap_model(trainer.model), trainer.args
    rows: dict[str, TrainingRows] = {"train": trainer.train_dataset, "validation": trainer.eval_dataset}
    keeping = Keeping(config, policy, model, spec, find_cut(model, trainable), arguments)
    model.to(arguments.device)
    first = SquareCollator(spec.size)([rows["validation"][row] for row in range(min(CHECKED, len(rows["validation"])))])
    sample = start_at_cut(model, keeping.cut, _pixels(first, keeping, 0))
    folder = _folder(keeping)
    files = {
        (split, view): CachedViewFile(
            folder / _file_name(keeping, split, hashes[split], view), len(rows[split]), tuple(sample.shape[1:]), dtype
        )
        for split, view in [("validation", 0), *(("train", view) for view in range(config.cached_views))]
    }
    sides = {split: CachedViewFile(files[split, 0].path.with_suffix(".sides"), len(rows[split]), (2,), "int32") for split in rows}
    tiled = tiles.are_on(policy) and config.cached_views > 1  # the first view is the image as it is
    place = files["train", 0].path.with_suffix(".bright")
    bright = CachedViewFile(place, len(rows["train"]), (tiles.CELLS, tiles.CELLS), "uint8") if tiled else None
    _say(files, rows, keeping)
    for (split, view), file in files.items():
        _fill(file, sides[split], rows[split], view, keeping, bright if view else None)
    trainer.accelerator.wait_for_everyone()
    views = [files["train", view] for view in range(config.cached_views)]
    train = CachedViewRows(rows["train"], views, epoch_length, sides["train"], bright)
    return train, CachedViewRows(rows["validation"], [files["validation", 0]]), collate_cached_views


def _pixels(batch: dict[str, torch.Tensor], keeping: Keeping, view: int) -> torch.Tensor:
    on_device = {key: value.to(keeping.arguments.device) for key, value in batch.items()}
    channels = getattr(keeping.model.config, "num_channels", 3)
    return batch_to_input(on_device, keeping.spec, keeping.policy if view else None, channels=channels)


def _folder(keeping: Keeping) -> Path:
    """The folder of a frozen part's output, named by its weights, its configuration, its input and its precision."""
    labels = {"id2label", "label2id", "num_labels"}
    passing = {"_name_or_path", "architectures", "transformers_version", "dtype", "drop_path_rate"}
    config, model, arguments = keeping.config, keeping.model, keeping.arguments
    known = {
        "layout": [_LAYOUT, CHUNK],
        "network": [type(model).__name__, str(keeping.cut)],
        "config": {key: value for key, value in model.config.to_dict().items() if key not in labels | passing},
        "input": dataclasses.asdict(keeping.spec),
        "precision": [config.cached_dtype, arguments.bf16, arguments.fp16],
    }
    digest = _hash(known)
    for name, parameter in sorted(model.state_dict(keep_vars=True).items()):
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    parent = Path(config.cached_dir or Path(config.output_dir) / FOLDER)
    return parent / digest.hexdigest()[:16]


def _file_name(keeping: Keeping, split: str, hashes: list[str], view: int) -> str:
    """A file's name: its rows, and for an augmented view what its augmentation depends on."""
    known = [hashes, [view, keeping.config.seed, noted_policy(keeping.policy)] if view else []]
    return f"{split}-view{view}-{_hash(known).hexdigest()[:12]}.{keeping.config.cached_dtype}"


def noted_policy(policy: AugmentConfig) -> dict[str, Any]:
    """A policy's keys; of those newer than the first files only what differs from its default, so that earlier files stay in use."""
    defaults = AugmentConfig()
    return {key: value for key, value in vars(policy).items() if key in _FIRST_KEYS or value != getattr(defaults, key)}


def _hash(known: Any) -> Any:
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode())


def _say(files: dict[tuple[str, int], CachedViewFile], rows: dict[str, TrainingRows], keeping: Keeping) -> None:
    """Checks the disk, and says what is kept where."""
    config = keeping.config
    folder = files["validation", 0].path.parent
    folder.mkdir(parents=True, exist_ok=True)
    whole = sum(file.bytes for file in files.values())
    to_come = sum(file.bytes_to_come() for file in files.values())
    free = shutil.disk_usage(folder).free
    if to_come > free:
        raise RecipeError(
            f"cached_views: {config.cached_views} views at image_size {keeping.spec.size} take {_size(whole)} in "
            f"{folder.parent}, {_size(to_come)} more than now, and the disk has {_size(free)} left; lower cached_views or image_size, "
            "or name a folder on another disk with cached_dir"
        )
    if keeping.arguments.process_index == 0:
        shape = files["validation", 0].shape
        write_json(folder / "about.json", {"shape": list(shape), "dtype": config.cached_dtype, "chunk": CHUNK})
        views = config.cached_views
        which = "as they are" if views == 1 else f"as they are and in {views - 1} augmented views"
        missing = sum(len(file.missing()) for file in files.values())
        chunks = sum(-(-file.rows // CHUNK) for file in files.values())
        print(
            f"kept        {len(rows['train']):,} training images {which}, {len(rows['validation']):,} validation images; "
            f"{' × '.join(map(str, shape))} numbers each: {_size(whole)} in {folder}"
        )
        if missing < chunks:
            print(f"kept        {chunks - missing:,} of {chunks:,} chunks are there already")
        mine = {file.path.with_suffix("") for file in files.values()}
        others = [path for path in folder.parent.rglob("*-view*") if path.with_suffix("") not in mine]
        if others and not config.cached_dir:
            print(f"kept        {_size(sum(path.stat().st_size for path in others))} beside it are of other settings, and may be deleted")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _fill(
    file: CachedViewFile, sides: CachedViewFile, rows: TrainingRows, view: int, keeping: Keeping, bright: CachedViewFile | None
) -> None:
    """Computes this process's share of the chunks that are missing."""
    model, arguments, dtype = keeping.model, keeping.arguments, keeping.config.cached_dtype
    # By number, since others may be writing already; by the processes of this machine, since each machine may have a disk of its own.
    world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    chunks = [chunk for chunk in file.missing() if chunk % world == arguments.local_process_index]
    if not chunks:
        return
    spans = [range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, len(rows))) for chunk in chunks]
    keys = [[(row, view_position(rows, row, view)) for row in span] for span in spans]
    loader = torch.utils.data.DataLoader(
        rows, batch_sampler=keys, collate_fn=SquareCollator(keeping.spec.size), num_workers=arguments.dataloader_num_workers
    )
    precision = torch.bfloat16 if arguments.bf16 else torch.float16
    was_training = model.training
    model.eval()
    name = "validation" if file.path.name.startswith("validation") else f"view {view + 1} of {keeping.config.cached_views}"
    with (
        torch.inference_mode(),
        torch.autocast(arguments.device.type, precision, enabled=arguments.bf16 or arguments.fp16),
        tqdm(total=sum(map(len, spans)), desc=f"frozen part, {name}", unit="image", disable=arguments.process_index > 0) as bar,
    ):
        for chunk, batch in zip(chunks, loader, strict=True):
            if bright is not None:
                batch["bright"] = tiles.brightness(batch["grey"], batch["heights"], batch["widths"])
                bright.write(chunk, batch["bright"].numpy())
            kept = frozen_output(model, keeping.cut, _pixels(batch, keeping, view))
            stored = kept.to(getattr(torch, dtype))
            if not torch.isfinite(stored).all():
                raise RecipeError(
                    f"cached_dtype: {model.config.model_type}'s frozen part gives values up to {kept.abs().max():.3g}, beyond "
                    f"{dtype}; set cached_dtype to float32, or cached_views to 0"
                )
            sides.write(chunk, torch.stack([batch["heights"], batch["widths"]], dim=1).numpy())
            file.write(chunk, stored.cpu().numpy())
            bar.update(len(kept))
    model.train(was_training)
