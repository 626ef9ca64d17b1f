"""The one way from a `Radiograph` to model input, and its twin as an image-processor config.

Aspect ratio kept, long side to the training size (bicubic on 8-bit grey), scaled to [0, 1], normalised, then padded right and below
with 0, exactly as transformers' PIL processors do it (they pad after normalising), so that a plain
`pipeline("image-classification")` on a saved checkpoint sees what training saw.

Not here: augmentation (`training/data/augment.py`) and opening files (`images/opening.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from transformers import ViTImageProcessorPil

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """What a model expects: a `size` × `size` square of three equal channels, normalised with `mean` and `std` (of [0, 1] values)."""

    size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ValueError(f"input size {self.size} px is too small; it must be at least 8")
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std} must be positive in every channel")


def fitted_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) after scaling the long side to `size`, aspect ratio kept, no side under 1 px.

    The arithmetic (scale first, then truncation) is that of transformers' `get_image_size_for_max_height_width`.
    """
    scale = min(size / height, size / width)
    return max(1, int(height * scale)), max(1, int(width * scale))


def fit_to(pixels: np.ndarray, size: int) -> np.ndarray:
    """Scales a grey uint8 (H, W) image so that its long side is `size`: uint8 (h, w), PIL bicubic, unpadded."""
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(f"expected a 2-D uint8 grey image, got shape {pixels.shape} of {pixels.dtype}; use images.opening.open_image")
    height, width = fitted_shape(pixels.shape[0], pixels.shape[1], size)
    if (height, width) == pixels.shape:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def normalise(fitted: np.ndarray, spec: InputSpec) -> np.ndarray:
    """uint8 (h, w) with h, w ≤ `spec.size` → float32 (3, size, size), padded right and below with 0."""
    height, width = fitted.shape
    out = np.zeros((3, spec.size, spec.size), dtype=np.float32)
    grey = fitted.astype(np.float32) / 255
    for channel in range(3):
        out[channel, :height, :width] = (grey - spec.mean[channel]) / spec.std[channel]
    return out


def to_input(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Grey uint8 (H, W) of any size → float32 (3, size, size), as the model takes it."""
    return normalise(fit_to(pixels, spec.size), spec)


def stack_inputs(images: Sequence[np.ndarray], spec: InputSpec) -> np.ndarray:
    """A batch of grey uint8 images of any sizes → float32 (B, 3, size, size)."""
    return np.stack([to_input(pixels, spec) for pixels in images])


def image_processor(spec: InputSpec) -> ViTImageProcessorPil:
    """The same preprocessing as a transformers processor, to be saved beside a checkpoint."""
    from transformers import ViTImageProcessorPil

    square = {"height": spec.size, "width": spec.size}
    return ViTImageProcessorPil(
        do_convert_rgb=True,
        do_resize=True,
        size={"max_height": spec.size, "max_width": spec.size},
        resample=Image.Resampling.BICUBIC,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=list(spec.mean),
        image_std=list(spec.std),
        do_pad=True,
        pad_size=square,
    )


def spec_from_processor(config: Mapping[str, Any], source: str = "preprocessor_config.json") -> InputSpec:
    """The `InputSpec` of a processor's config (`processor.to_dict()` or the parsed JSON file).

    A config that letterboxes (ours) gives its own size; a stock one that squashes or crops gives the side of its square, and the image
    is letterboxed to that instead. Raises ValueError naming `source` when no size can be read.
    """
    size = config.get("crop_size") if config.get("do_center_crop") else config.get("size")
    if isinstance(size, Mapping):
        side = next((size[k] for k in ("max_height", "height", "shortest_edge", "longest_edge") if size.get(k)), None)
    else:
        side = size
    if not isinstance(side, int):
        raise ValueError(f"{source}: no input size in 'size' or 'crop_size' (found {size!r})")
    return InputSpec(side, _three(config.get("image_mean"), IMAGENET_MEAN), _three(config.get("image_std"), IMAGENET_STD))


def _three(values: Any, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if values is None:
        return default
    numbers = [float(v) for v in (values if isinstance(values, Sequence) else [values])]
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise ValueError(f"image_mean and image_std need one or three numbers, got {numbers}")
    return numbers[0], numbers[1], numbers[2]
