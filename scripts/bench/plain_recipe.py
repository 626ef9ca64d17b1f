"""The plain recipe that training is measured against: what the Hugging Face example of image classification does.

Each epoch decodes the JPEG files anew; RandomResizedCrop, a mirror image, a tensor, normalisation, all on the CPU in the dataset's
transform; a collator that stacks; the stock Trainer with its own optimiser and the model's own loss. Where torchvision is installed its
transforms are used, otherwise the same operations in Pillow and torch (torchvision's transforms of Pillow images call them as well).
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel, Trainer, TrainingArguments

from hf_bones.preprocess import InputSpec

Transform = Callable[[Image.Image], torch.Tensor]

CROP_AREA = (0.08, 1.0)  # share of the image that RandomResizedCrop keeps, its default
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10


def transforms_of(spec: InputSpec) -> tuple[Transform, Transform, str]:
    """The transforms of training and of validation, and which library they come from."""
    try:
        transforms = importlib.import_module("torchvision.transforms")
    except ImportError:
        return (lambda image: train_view(image, spec)), (lambda image: plain_view(image, spec)), "Pillow and torch"
    last = [transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]
    training = transforms.Compose([transforms.RandomResizedCrop(spec.size), transforms.RandomHorizontalFlip(), *last])
    validation = transforms.Compose([transforms.Resize(spec.size), transforms.CenterCrop(spec.size), *last])
    return training, validation, "torchvision"


def train_view(image: Image.Image, spec: InputSpec) -> torch.Tensor:
    """RandomResizedCrop and RandomHorizontalFlip, as their documentation describes them, then a normalised tensor (3, S, S)."""
    left, top, width, height = random_crop(*image.size)
    view = image.crop((left, top, left + width, top + height)).resize((spec.size, spec.size), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return normalised(view, spec)


def random_crop(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of a crop of random area and aspect ratio; the largest central one where none was found to fit."""
    for _ in range(CROP_TRIES):
        area = width * height * random.uniform(*CROP_AREA)
        ratio = math.exp(random.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return random.randint(0, width - wide), random.randint(0, height - high), wide, high
    wide, high = min(width, round(height * CROP_RATIO[1])), min(height, round(width / CROP_RATIO[0]))
    return (width - wide) // 2, (height - high) // 2, wide, high


def plain_view(image: Image.Image, spec: InputSpec) -> torch.Tensor:
    """Short side to the size, then the central square, as the example validates."""
    scale = spec.size / min(image.size)
    width, height = max(spec.size, int(image.width * scale)), max(spec.size, int(image.height * scale))
    left, top = round((width - spec.size) / 2), round((height - spec.size) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return normalised(resized.crop((left, top, left + spec.size, top + spec.size)), spec)


def normalised(image: Image.Image, spec: InputSpec) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, std = torch.tensor(spec.mean)[:, None, None], torch.tensor(spec.std)[:, None, None]
    return tensor.sub_(mean).div_(std)


def batch_transform(transform: Transform, column: str = "image") -> Callable[[dict[str, Any]], dict[str, Any]]:
    """For `datasets.Dataset.set_transform`: adds `pixel_values` to some rows."""

    def transformed(rows: dict[str, Any]) -> dict[str, Any]:
        rows["pixel_values"] = [transform(image.convert("RGB")) for image in rows[column]]
        return rows

    return transformed


class JpegFiles(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The same without `datasets`: image files, decoded and transformed when a row is asked for; `length` rows over the files in turn."""

    def __init__(self, files: Sequence[Path], labels: Sequence[int], transform: Transform, length: int) -> None:
        self.files, self.labels, self.transform, self.length = list(files), list(labels), transform, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: int) -> dict[str, Any]:
        place = row % len(self.files)
        with Image.open(self.files[place]) as image:
            return {"pixel_values": self.transform(image.convert("RGB")), "label": self.labels[place]}


def stack(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """The example's collator."""
    return {"pixel_values": torch.stack([row["pixel_values"] for row in rows]), "labels": torch.tensor([row["label"] for row in rows])}


def accuracy_metric() -> Callable[[Any], dict[str, float]]:
    """The example's `compute_metrics`: accuracy. It takes it from `evaluate`, which takes it from scikit-learn; both are loaded before
    training, though not from the Hub here."""
    importlib.import_module("evaluate")
    from sklearn.metrics import accuracy_score

    return lambda prediction: {"accuracy": float(accuracy_score(prediction.label_ids, np.argmax(prediction.predictions, axis=1)))}


def plain_trainer(
    model: PreTrainedModel, rows: Any, evaluation: Any = None, metric: Callable[[Any], dict[str, float]] | None = None, **arguments: Any
) -> Trainer:
    """The stock Trainer of the example; `arguments` are TrainingArguments."""
    settings: dict[str, Any] = {
        "remove_unused_columns": False, "report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip
    return Trainer(
        model=model,
        args=TrainingArguments(**{**settings, **arguments}),
        train_dataset=rows,
        eval_dataset=evaluation,
        data_collator=stack,
        compute_metrics=metric,
    )
