"""Features of a frozen backbone, kept on disk, and the opinions of a linear head on them from outside of the rows that it learnt from.

The features of an image are what the network's own head is given (for DINOv2 the class token beside the mean of the patches). They are
kept in small files by the backbone, the input size and the hash of the image's bytes: a run that was killed resumes, and a further run on
other rows of the same images computes nothing twice.

Not here: what the opinions are compared with (`suspects.py`), and figures made of them (`evaluation/resolution/measure.py`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm
from transformers import AutoConfig, PreTrainedModel
from transformers.image_processing_base import ImageProcessingMixin

from hf_bones.config.recipe import ModelConfig
from hf_bones.evaluation.opinions.by_hash import CHUNK, keep_by_hash, kept_by_hash
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, spec_from_processor
from hf_bones.reach import from_hub
from hf_bones.record import public_name, read_json
from hf_bones.training.backbone.loading import head_of, load_model, resolve_model
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.probe import head_features

ImageBytes = Callable[[], bytes]  # reads an image's bytes when they are needed; raises OSError where they are not there

FORMAT = 1  # raised whenever opening or preprocessing changes what a network sees, so that older features are not taken for the new ones
# Small batches keep the activations in the processor's cache: two to four images are fastest on two cores, at any size.
BATCH_SIZE = 4


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network whose weights stay as they are. `asked_size` is what was asked for; `spec.size` what the network can take, both px.

    `stored_size` is the size that its position embeddings are stored for, from which they were interpolated; None where it has none.
    `key` names its features: a hash of the backbone's weights (the head's are not among them), its input and `FORMAT`.
    """

    name: str
    model: PreTrainedModel
    spec: InputSpec
    asked_size: int
    stored_size: int | None
    key: str


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """`values` is float32 (N, F), NaN in the rows of `refused` (row → why its image cannot be opened).

    `seconds` is what the features of these rows took to compute, in whichever run that was; `computed` how many of them were computed
    in this one.
    """

    values: npt.NDArray[np.float32]
    refused: dict[int, str]
    seconds: float
    computed: int
    kept: npt.NDArray[np.int64] = field(init=False)  # rows that have features

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", np.array([row for row in range(len(self.values)) if row not in self.refused], dtype=np.int64))


def input_size(name: str, size: int | None = None, revision: str | None = None) -> int:
    """The nearest size, px, that the network takes without cutting off a margin: a multiple of its patch (or of its whole stride).

    Without `size`, the one that its image processor names. A tie goes to the larger one.
    """
    source = resolve_model(name)
    with from_hub(source, "model"):
        return _input_size(name, source, size, revision)


def _input_size(name: str, source: str, size: int | None, revision: str | None) -> int:
    if size is None:
        try:
            processor, _ = ImageProcessingMixin.get_image_processor_dict(source, revision=revision)
            size = spec_from_processor(processor, f"{name}: preprocessor_config.json").size
        except OSError:
            size = ModelConfig().image_size
    settings = AutoConfig.from_pretrained(source, revision=revision)
    step = getattr(settings, "patch_size", 1)
    step = step[0] if isinstance(step, (list, tuple)) else step
    step *= 2 ** (len(getattr(settings, "depths", [1])) - 1)  # networks of several stages halve the grid between them
    return max(1, int(size / step + 0.5)) * int(step)


def load_backbone(
    name: str = "bundled",
    size: int | None = None,
    *,
    keep_blocks: int | None = None,
    revision: str | None = None,
    device: str | None = None,
) -> Backbone:
    """The backbone of `name` (`bundled`, a folder or a Hub id) for images of `size` px, by default its own.

    Position embeddings are interpolated; `keep_blocks` keeps only the first blocks. Raises ValueError or FileNotFoundError saying what
    cannot be loaded.
    """
    fitting = input_size(name, size, revision)
    model, spec = load_model(ModelConfig(name, revision=revision, keep_blocks=keep_blocks, image_size=fitting), THREE_CLASS)
    model.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    head = next(label for label, module in model.named_modules() if module is head_of(model))
    digest = hashlib.sha256(f"{FORMAT} {spec} {type(model).__name__}".encode())
    for label, tensor in model.state_dict().items():  # running means of normalisation are no parameters, but count
        if not label.startswith(f"{head}."):
            digest.update(f"{label} {tuple(tensor.shape)}".encode())
            digest.update(tensor.float().cpu().numpy().tobytes())
    positions = any(label.endswith("position_embeddings") for label, _ in model.named_parameters())
    stored = getattr(AutoConfig.from_pretrained(resolve_model(name), revision=revision), "image_size", None) if positions else None
    return Backbone(name, model, spec, size or fitting, stored if isinstance(stored, int) else None, digest.hexdigest()[:24])


def learnt_from(name: str) -> str:
    """A warning where the checkpoint's own record says that its backbone was trained on labels, which may be those it is asked about."""
    path = Path(resolve_model(name)) / "record.json"
    if not path.is_file():
        return ""
    recipe = read_json(path).get("recipe") or {}
    epochs, trainable = (recipe.get("training") or {}).get("epochs", 0), (recipe.get("model") or {}).get("trainable", "all")
    if not epochs or trainable == "head":
        return ""
    return (
        f"The backbone of {public_name(name)} was fine-tuned: on images that it has seen, even a head that has not seen them is flattered. "
        "A backbone that never saw these labels gives honest figures."
    )


def frozen_features(
    backbone: Backbone,
    images: Sequence[ImageBytes],
    hashes: Sequence[str],
    cache: Path | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    progress: bool = True,
) -> FrozenFeatures:
    """What the backbone makes of each image, taken from the folder `cache` where it is there and put there where it is not.

    `hashes` are those of the bytes that `images` read. An image that cannot be read or opened stops nothing (see `FrozenFeatures`). Each
    chunk is written in one step; a damaged file of the cache is computed anew. Raises ValueError for lists of different lengths.
    """
    if len(images) != len(hashes):
        raise ValueError(f"{len(images)} images but {len(hashes)} hashes")
    folder = None if cache is None else cache / backbone.key
    kept = kept_by_hash(folder, set(hashes), "features", "seconds")
    known = {digest: values for digest, (values, _) in kept.items()}
    seconds = {digest: float(took) for digest, (_, took) in kept.items()}
    waiting = {digest: row for row, digest in reversed(list(enumerate(hashes))) if digest not in known}
    rows = sorted(waiting.values())
    refused_hashes: dict[str, str] = {}
    label = f"features at {backbone.spec.size} px"
    with tqdm(total=len(hashes), initial=len(hashes) - len(rows), desc=label, unit="img", disable=None if progress else True) as bar:
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            began = time.perf_counter()
            source = _Opened([images[row] for row in chunk])
            labels = np.zeros(len(chunk), dtype=np.int64)
            table = TrainingRows([source], labels, backbone.spec.size, 0)
            device = next(backbone.model.parameters()).device
            values = head_features(backbone.model, backbone.spec, table, batch_size, device, progress=False)
            took = (time.perf_counter() - began) / len(chunk)
            good = [place for place in range(len(chunk)) if place not in source.refused]
            refused_hashes |= {hashes[chunk[place]]: why for place, why in source.refused.items()}
            fresh = {hashes[chunk[place]]: values[place] for place in good}
            keep_by_hash(folder, list(fresh), features=list(fresh.values()), seconds=took)
            known |= fresh
            seconds |= dict.fromkeys(fresh, took)
            bar.update(len(chunk))
    width = head_of(backbone.model).in_features
    empty = np.full(width, np.nan, dtype=np.float32)
    return FrozenFeatures(
        np.stack([known.get(digest, empty) for digest in hashes]) if hashes else np.zeros((0, width), dtype=np.float32),
        {row: refused_hashes[digest] for row, digest in enumerate(hashes) if digest in refused_hashes},
        sum(seconds[digest] for digest in set(hashes) if digest in seconds),
        len(rows) - len(refused_hashes),
    )


class _Opened:
    """Pixels of images by row, opened when asked for; one that cannot be opened is noted, and stands there blank."""

    def __init__(self, images: Sequence[ImageBytes]) -> None:
        self.images = images
        self.refused: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        try:
            return open_image(self.images[row]()).pixels
        except ImageRefusedError as error:
            self.refused[row] = f"{error.reason}: {error.detail}"
        except OSError as error:
            self.refused[row] = f"unreadable_file: {error.strerror or type(error).__name__}"
        return np.zeros((32, 32), np.uint8)
