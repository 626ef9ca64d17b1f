"""The frozen part's output for every training and validation image, kept in files: computed once, read in every epoch.

Training images are kept in N views: view 0 is the image itself, each other one its own augmentation. A file holds one view of one split,
in whole chunks, each written and synced before it is marked as done, so that a killed run goes on where it was. The folder's name is a
hash of all that the values depend on: another network, other rows or another augmentation has another folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, TrainingArguments

from hf_bones.config import Recipe, RecipeError
from hf_bones.preprocess import InputSpec
from hf_bones.record import write_json
from hf_bones.training.augment import augmentation_draw, neutral_draw
from hf_bones.training.data import SquareCollator, TrainingRows, batch_to_input, collate_described
from hf_bones.training.trunk import Cut, find_cut, frozen_output, go_on_from_kept

if TYPE_CHECKING:
    from hf_bones.training.trainer import BoneTrainer

FOLDER = "kept"
CHUNK = 32  # rows that are computed and marked as done together
CHECKED = 4  # images on which the cut is tried first
_LAYOUT = 1


class KeptFile:
    """An array (rows, *shape) on disk, filled in chunks of `CHUNK` rows; beside it one byte a chunk says whether it is there."""

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.rows, self.shape, self.dtype = path, rows, shape, np.dtype(dtype)
        self._array: np.memmap[Any, Any] | None = None

    @property
    def bytes(self) -> int:
        return self.rows * math.prod(self.shape) * self.dtype.itemsize

    @property
    def _marks(self) -> Path:
        return self.path.with_suffix(".done")

    def bytes_to_come(self) -> int:
        """Disk that filling it will still take."""
        return self.bytes - (self.path.stat().st_blocks * 512 if self.path.is_file() else 0)

    def missing(self) -> list[int]:
        """Numbers of the chunks that are not there yet."""
        marks = self._marks.read_bytes() if self._marks.is_file() and self.path.is_file() else b""
        chunks = -(-self.rows // CHUNK)
        return [chunk for chunk in range(chunks) if marks[chunk : chunk + 1] != b"\1"]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Puts a chunk in its place and marks it as done once it is on the disk. Several processes may write other chunks meanwhile."""
        start = chunk * CHUNK * math.prod(self.shape) * self.dtype.itemsize
        _write_at(self.path, start, np.ascontiguousarray(values, dtype=self.dtype).tobytes())
        _write_at(self._marks, chunk, b"\1")

    def __getitem__(self, row: int) -> np.ndarray:
        """The row's values, (*shape), read-only."""
        if self._array is None:
            self._array = np.memmap(self.path, dtype=self.dtype, mode="r", shape=(self.rows, *self.shape))
        return self._array[row]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}  # each loader worker maps the file itself


def _write_at(path: Path, offset: int, content: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        done = 0
        while done < len(content):
            done += os.pwrite(handle, content[done:], offset + done)
        os.fsync(handle)
    finally:
        os.close(handle)


class KeptRows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Kept output with labels, asked for as `TrainingRows` are: by row, or by (row, position in the run), which decides the view.

    With `epoch_length`, the positions of an epoch in which no row comes twice, a row's views take turns from epoch to epoch, and rows
    start at different ones, so that each batch mixes them. Without it (rows are drawn with replacement) the views take turns by position.
    With `sides`, those of the unpadded images, rows that have boxes also say how their view was augmented: `{draw, height, width}`.
    """

    def __init__(
        self, rows: TrainingRows, views: Sequence[KeptFile], epoch_length: int | None = None, sides: KeptFile | None = None
    ) -> None:
        self.rows, self.views, self.epoch_length, self.sides = rows, list(views), epoch_length, sides
        self.labels = rows.labels

    def view_at(self, row: int, position: int) -> int:
        """The view in which a row is given at a position of the run."""
        turn = position if self.epoch_length is None else position // self.epoch_length + row
        return turn % len(self.views)

    def __len__(self) -> int:
        return len(self.rows)

    def of_view(self, view: int) -> KeptRows:
        """The same rows, always in one view."""
        return KeptRows(self.rows, self.views[view : view + 1], self.epoch_length, self.sides)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        row, position = key if isinstance(key, tuple) else (key, 0)
        view = self.view_at(row, position)
        kept = {"kept": self.views[view][row]} | self.rows.described(row)
        if self.sides is not None and self.rows.with_boxes:
            height, width = self.sides[row].tolist()
            kept |= {"draw": view_draw(self.rows, row, view), "height": height, "width": width}
        return kept

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[dict[str, Any]]:
        return [self[key] for key in keys]


def view_draw(rows: TrainingRows, row: int, view: int) -> np.ndarray:
    """The augmentation of a row in one of its views; none in view 0."""
    return augmentation_draw(rows.seed, view_position(rows, row, view)) if view else neutral_draw()


def view_position(rows: TrainingRows, row: int, view: int) -> int:
    """The position whose augmentation a view has: that of the features of `head_start: probe`, so that views are the same there."""
    return view * len(rows) + row


def collate_kept(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Kept output (B, …), what else `collate` gives for such rows, and of the pixels only the sides."""
    batch = {"kept": torch.from_numpy(np.stack([row["kept"] for row in rows]))} | collate_described(rows)
    if "draw" in rows[0]:
        batch["draws"] = torch.from_numpy(np.stack([row["draw"] for row in rows]))
        batch |= {f"{side}s": torch.tensor([row[side] for row in rows]) for side in ("height", "width")}
    return batch


def keep_frozen_output(trainer: BoneTrainer, recipe: Recipe, hashes: dict[str, list[str]]) -> None:
    """Computes what is not on disk yet and lets the trainer read it: its network then goes on from kept output in every epoch.

    `hashes` are those of the images of `train` and `validation`. In a run of several processes each computes its share of the chunks.
    Raises `RecipeError` for keys that do not go together, and before any work where the disk is too small.
    """
    check_keys(recipe)
    if not isinstance(trainer.train_dataset, TrainingRows):
        raise RecipeError("cached_views and distill: a teacher looks at the images themselves in each epoch; set cached_views to 0")
    model, spec, arguments = trainer.accelerator.unwrap_model(trainer.model), trainer.spec, trainer.args
    rows: dict[str, TrainingRows] = {"train": trainer.train_dataset, "validation": trainer.eval_dataset}
    cut = find_cut(model, recipe.model.trainable)
    model.to(arguments.device)
    first = SquareCollator(spec.size)([rows["validation"][row] for row in range(min(CHECKED, len(rows["validation"])))])
    sample = go_on_from_kept(model, cut, _pixels(first, recipe, model, spec, 0, arguments.device))
    files = _files(_folder(recipe, model, spec, cut, hashes), recipe, rows, tuple(sample.shape[1:]))
    sides = {
        split: KeptFile(files["validation", 0].path.with_name(f"{split}-sides.int32"), len(rows[split]), (2,), "int32") for split in rows
    }
    _say(files, rows, recipe, arguments)
    for (split, view), file in files.items():
        _fill(file, sides[split], rows[split], view, recipe, model, spec, cut, arguments)
    trainer.accelerator.wait_for_everyone()
    views = [files["train", view] for view in range(recipe.training.cached_views)]
    epoch_length = len(trainer.sampler) if recipe.training.sampling == "uniform" else None
    trainer.train_dataset = KeptRows(rows["train"], views, epoch_length, sides["train"])
    trainer.eval_dataset = KeptRows(rows["validation"], [files["validation", 0]])
    trainer.data_collator = collate_kept


def check_keys(recipe: Recipe) -> None:
    """Raises `RecipeError` naming both keys where kept output cannot go with another choice."""
    config, views = recipe.training, recipe.training.cached_views
    if views < 0:
        raise RecipeError(f"cached_views: expected 0 (off) or a number of views, got {views}")
    if views > 1 and not recipe.augment.augment:
        raise RecipeError(f"cached_views: {views} and augment: false: without augmentation all views are the same; set cached_views to 1")
    if recipe.model.lora_rank:
        raise RecipeError("cached_views and lora_rank: LoRA trains every block, so nothing is frozen; set one of them to 0")
    if config.box_loss and recipe.model.trainable == "head":
        raise RecipeError("cached_views and box_loss: with trainable: head no patches are kept, only what the head sees; set box_loss to 0")
    if config.torch_compile == "whole":
        raise RecipeError("cached_views and torch_compile: whole: the network runs in parts; set torch_compile to blocks or off")
    if config.cached_dtype not in ("float16", "float32"):
        raise RecipeError(f"cached_dtype: expected float16 or float32, got {config.cached_dtype!r}")
    if config.head_start == "probe" and config.probe_views > views:
        raise RecipeError(f"probe_views: {config.probe_views} but cached_views: {views}; the head is fitted to kept views")


def _pixels(
    batch: dict[str, torch.Tensor], recipe: Recipe, model: PreTrainedModel, spec: InputSpec, view: int, device: torch.device
) -> torch.Tensor:
    on_device = {key: value.to(device) for key, value in batch.items()}
    return batch_to_input(on_device, spec, recipe.augment if view else None, channels=model.config.num_channels)


def _folder(recipe: Recipe, model: PreTrainedModel, spec: InputSpec, cut: Cut, hashes: dict[str, list[str]]) -> Path:
    """The folder of these values, by all that they depend on."""
    labels = {"id2label", "label2id", "num_labels"}
    passing = {"_name_or_path", "architectures", "transformers_version", "dtype", "drop_path_rate"}
    config = {key: value for key, value in model.config.to_dict().items() if key not in labels | passing}
    known = {
        "layout": [_LAYOUT, CHUNK],
        "network": [type(model).__name__, config, str(cut)],
        "input": dataclasses.asdict(spec),
        "augment": [dataclasses.asdict(recipe.augment), recipe.training.seed],
        "rows": hashes,
        "dtype": recipe.training.cached_dtype,
        "precision": recipe.training.mixed_precision,
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode())
    for name, parameter in sorted(model.state_dict(keep_vars=True).items()):
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    parent = Path(recipe.training.cached_dir or Path(recipe.training.output_dir) / FOLDER)
    return parent / digest.hexdigest()[:16]


def _files(folder: Path, recipe: Recipe, rows: dict[str, TrainingRows], shape: tuple[int, ...]) -> dict[tuple[str, int], KeptFile]:
    dtype = recipe.training.cached_dtype
    wanted = [("validation", 0), *(("train", view) for view in range(recipe.training.cached_views))]
    return {(split, view): KeptFile(folder / f"{split}-view{view}.{dtype}", len(rows[split]), shape, dtype) for split, view in wanted}


def _say(
    files: dict[tuple[str, int], KeptFile],
    rows: dict[str, TrainingRows],
    recipe: Recipe,
    arguments: TrainingArguments,
) -> None:
    """Checks the disk, and says what is kept where."""
    folder = files["validation", 0].path.parent
    folder.mkdir(parents=True, exist_ok=True)
    whole = sum(file.bytes for file in files.values())
    to_come = sum(file.bytes_to_come() for file in files.values())
    free = shutil.disk_usage(folder).free
    if to_come > free:
        raise RecipeError(
            f"cached_views: {recipe.training.cached_views} views at image_size {recipe.model.image_size} take {_size(whole)} in "
            f"{folder.parent}, {_size(to_come)} more than now, and the disk has {_size(free)} left; lower cached_views or image_size, "
            "or name a folder on another disk with cached_dir"
        )
    if arguments.process_index == 0:
        shape = files["validation", 0].shape
        write_json(folder / "about.json", {"shape": list(shape), "dtype": recipe.training.cached_dtype, "chunk": CHUNK})
        missing = sum(len(file.missing()) for file in files.values())
        chunks = sum(-(-file.rows // CHUNK) for file in files.values())
        print(
            f"kept        {recipe.training.cached_views} views of {len(rows['train']):,} training images and {len(rows['validation']):,} "
            f"validation images, {' × '.join(map(str, shape))} numbers each: {_size(whole)} in {folder}"
        )
        if missing < chunks:
            print(f"kept        {chunks - missing:,} of {chunks:,} chunks are there already")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _fill(
    file: KeptFile,
    sides: KeptFile,
    rows: TrainingRows,
    view: int,
    recipe: Recipe,
    model: PreTrainedModel,
    spec: InputSpec,
    cut: Cut,
    arguments: TrainingArguments,
) -> None:
    """Computes this process's share of the chunks that are missing."""
    world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    chunks = file.missing()[arguments.local_process_index :: world]
    if not chunks:
        return
    spans = [range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, len(rows))) for chunk in chunks]
    keys = [[(row, view_position(rows, row, view)) for row in span] for span in spans]
    loader = torch.utils.data.DataLoader(
        rows, batch_sampler=keys, collate_fn=SquareCollator(spec.size), num_workers=arguments.dataloader_num_workers
    )
    precision = torch.bfloat16 if arguments.bf16 else torch.float16
    was_training = model.training
    model.eval()
    name = "validation" if "validation" in file.path.name else f"view {view + 1} of {recipe.training.cached_views}"
    with (
        torch.inference_mode(),
        torch.autocast(arguments.device.type, precision, enabled=arguments.bf16 or arguments.fp16),
        tqdm(total=sum(map(len, spans)), desc=f"frozen part, {name}", unit="image", disable=arguments.process_index > 0) as bar,
    ):
        for chunk, batch in zip(chunks, loader, strict=True):
            kept = frozen_output(model, cut, _pixels(batch, recipe, model, spec, view, arguments.device))
            stored = kept.to(getattr(torch, recipe.training.cached_dtype))
            if not torch.isfinite(stored).all():
                raise RecipeError(
                    f"cached_dtype: {model.config.model_type}'s frozen part gives values up to {kept.abs().max():.3g}, beyond "
                    f"{recipe.training.cached_dtype}; set cached_dtype to float32, or cached_views to 0"
                )
            sides.write(chunk, torch.stack([batch["heights"], batch["widths"]], dim=1).numpy())
            file.write(chunk, stored.cpu().numpy())
            bar.update(len(kept))
    model.train(was_training)
