"""`hf_bones.predict`: images → findings, as `hf-bones predict` gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hf_bones.api.keywords import names_nearest
from hf_bones.inference.finding import Finding
from hf_bones.inference.folder import list_files
from hf_bones.inference.predictor import BonePredictor, ImageSource


@names_nearest
def predict(
    images: ImageSource | Sequence[ImageSource],
    model: str | Path | BonePredictor = "bundled",
    *,
    batch_size: int = 16,
    heatmap: bool = False,
    mirror: bool = False,
    zoom: bool = False,
    device: str | None = None,
    revision: str | None = None,
) -> list[Finding]:
    """Classifies images: one finding an image, in the same order.

    The model is loaded at every call; to ask it often, make a `BonePredictor` once and give that. An image that cannot be opened gets
    the verdict `unreadable` and the reason, and changes nothing for the others.

    Args:
        images: Paths of files or folders, bytes of files, PIL images, or arrays (H, W) or (H, W, C); one or a list. A folder stands for
            all files under it, sorted; an array is always one image.
        model: "bundled", a checkpoint folder, a Hub id, or a `BonePredictor`.
        batch_size: Images per forward pass.
        heatmap: Also give each finding a heat map, which takes a backward pass for each image.
        mirror: Score each image mirrored left-right too and average the logits; twice the time.
        zoom: Look at doubtful films again, in windows at twice the size; up to five times the time.
        device: torch device. None: a GPU, if there is one. Of a `BonePredictor`, its own.
        revision: Branch, tag or commit of a Hub checkpoint.

    Returns:
        A finding for each image: verdict, probabilities, reasons.

    Raises:
        FileNotFoundError: A path that does not exist.
        CheckpointError: A model that is not there or cannot be loaded, or `zoom` of one without a second look. A ValueError.

    Examples:
        >>> from hf_bones import predict
        >>> finding, *others = predict(["wrist.png", "new_films"], model="runs/mine")
        >>> finding.source
        'wrist.png'
        >>> sorted(finding.probabilities)
        ['beyond_repair', 'fractured', 'healthy']
    """
    predictor = model if isinstance(model, BonePredictor) else BonePredictor.from_pretrained(model, revision=revision, device=device)
    given = [images] if isinstance(images, (str, Path, bytes, Image.Image, np.ndarray)) else images
    return list(predictor.predict_iter(_files(given), batch_size=batch_size, heatmap=heatmap, mirror=mirror, zoom=zoom))


def _files(images: Iterable[ImageSource]) -> Iterator[ImageSource]:
    """The images as given, folders being the files under them."""
    for image in images:
        if isinstance(image, (str, Path)):
            yield from list_files([image])
        else:
            yield image
