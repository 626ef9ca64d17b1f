"""`BonePredictor`: images in, findings out, from the bundled model, a folder or a Hub id.

Images go through `open_image` and `preprocess.to_input`, as they did in training. torch and transformers are imported when a
model is loaded, so that a command line that only checks its arguments stays quick.

Not here: the heat map's method (`explain.py`), calibration (`decision.py`), walking folders (`folder.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Limits, Radiograph, explain, open_image
from hf_bones.inference import checkpoint as files
from hf_bones.inference.decision import DecisionRule, read_decision
from hf_bones.inference.explain import class_evidence, to_image_size
from hf_bones.inference.finding import REFER, UNREADABLE, Finding
from hf_bones.labels import LabelScheme
from hf_bones.logits import softmax
from hf_bones.preprocess import InputSpec, fitted_shape, spec_from_processor, stack_inputs
from hf_bones.record import read_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ImageSource = str | Path | bytes | Image.Image | np.ndarray

# Heat maps keep every layer's activations for the backward pass; a few images at a time bound the memory.
HEATMAP_BATCH = 4


class BonePredictor:
    """A checkpoint ready to answer. Make one with `from_pretrained`.

    `spec` is the model input, `scheme` the classes with their definitions, `names` their names in the order of the outputs, `calibrated`
    whether a decision.json came with the checkpoint, `checkpoint` and `revision` what is loaded.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        spec: InputSpec,
        decision: DecisionRule,
        *,
        calibrated: bool,
        checkpoint: str,
        revision: str | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.spec = spec
        self.decision = decision
        self.calibrated = calibrated
        self.checkpoint = checkpoint
        self.revision = revision

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, device: str | None = None) -> BonePredictor:
        """Loads `bundled`, a folder, or a Hub id `owner/name` at `revision` (a branch, tag or commit).

        Weights must be safetensors and run in float32; no code from the checkpoint is run. `device` is a torch device; by default a GPU
        where there is one. Raises `CheckpointError` (a ValueError) naming the checkpoint and what to do.
        """
        found = files.find_checkpoint(name, revision)
        config = read_json(found.folder / files.CONFIG_FILE)
        processor_path = found.folder / files.PROCESSOR_FILE
        spec = spec_from_processor(read_json(processor_path), str(processor_path))
        decision = read_decision(found.folder)
        calibrated = decision is not None
        if decision is None:
            decision = DecisionRule(temperature=1.0, scheme=files.scheme_of(config, str(found.folder)), image_size=spec.size)
        else:
            files.check_labels(decision.scheme, config, str(found.folder))
            if decision.image_size != spec.size:
                raise files.CheckpointError(
                    f"{found.folder}: decision.json was fitted at {decision.image_size} px, preprocessor_config.json says {spec.size} px; "
                    "calibrate this checkpoint again"
                )

        model = _load_model(found).to(device or _best_device())
        return cls(model, spec, decision, calibrated=calibrated, checkpoint=found.name, revision=found.revision)

    @property
    def scheme(self) -> LabelScheme:
        return self.decision.scheme

    @property
    def names(self) -> tuple[str, ...]:
        return self.scheme.names

    def predict(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        batch_size: int = 16,
        heatmap: bool = False,
        mirror: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> list[Finding]:
        """One finding an image, in the same order.

        images: paths, bytes of files, PIL images or arrays (H, W) or (H, W, C), one or a list; an array is always one image. An image that
        cannot be opened gets the verdict `unreadable` and the reason, and nothing changes for the others. mirror: score each image
        mirrored left-right as well and average the logits, which are then calibrated as ever; twice the time. A heat map is of the
        upright image alone, for the class that the average makes the likeliest abnormal one.
        """
        if isinstance(images, (str, Path, bytes, Image.Image, np.ndarray)):
            images = [images]
        return list(self.predict_iter(images, batch_size=batch_size, heatmap=heatmap, mirror=mirror, limits=limits))

    def predict_iter(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int = 16,
        heatmap: bool = False,
        mirror: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Finding]:
        """As `predict`, but takes and gives images one batch at a time, so that any number of them fits into memory."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        remaining = enumerate(images)
        while batch := list(islice(remaining, batch_size)):
            opened: list[Radiograph | ImageRefusedError] = []
            for _, source in batch:
                try:
                    opened.append(open_image(source, limits))
                except ImageRefusedError as error:
                    opened.append(error)
            answers = iter(self._classify([one.pixels for one in opened if isinstance(one, Radiograph)], heatmap, mirror))
            for (index, source), one in zip(batch, opened, strict=True):
                name = str(source) if isinstance(source, (str, Path)) else f"image[{index}]"
                if isinstance(one, ImageRefusedError):
                    yield self._unreadable(name, one)
                else:
                    yield self._finding(name, *next(answers), mirror)

    def logits(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Raw outputs for opened images, a list of uint8 (H, W): float32 (N, C), in one batch."""
        import torch

        with torch.inference_mode():
            return self.model(pixel_values=self._tensor(pixels)).logits.float().cpu().numpy()

    def explain(self, pixels: Sequence[np.ndarray], targets: Sequence[str] | None = None) -> list[np.ndarray]:
        """Heat maps, float32 (H, W) in [0, 1], for opened images, a list of uint8 (H, W).

        targets: the class to explain for each image; by default the likeliest class other than the normal one, so that the map of an image
        called healthy shows where a break was most nearly seen.
        """
        import torch

        if targets is None:
            outputs = np.concatenate([self.logits(pixels[i : i + HEATMAP_BATCH]) for i in range(0, len(pixels), HEATMAP_BATCH)])
            ids = self._likeliest_abnormal(outputs)
        else:
            ids = [self.names.index(name) for name in targets]
        maps: list[np.ndarray] = []
        for start in range(0, len(pixels), HEATMAP_BATCH):
            part = pixels[start : start + HEATMAP_BATCH]
            inputs = self._tensor(part)
            content = torch.zeros(len(part), self.spec.size, self.spec.size, dtype=torch.bool, device=inputs.device)
            for mask, image in zip(content, part, strict=True):
                height, width = fitted_shape(image.shape[0], image.shape[1], self.spec.size)
                mask[:height, :width] = True
            wanted = torch.tensor(ids[start : start + HEATMAP_BATCH], device=inputs.device)
            evidence = class_evidence(self.model, inputs, wanted, content).cpu().numpy()
            maps += [to_image_size(cells, image.shape, self.spec) for cells, image in zip(evidence, part, strict=True)]
        return maps

    def _likeliest_abnormal(self, outputs: np.ndarray) -> list[int]:
        without_normal = outputs.copy()
        without_normal[:, self.scheme.normal_id] = -np.inf
        return [int(index) for index in without_normal.argmax(axis=1)]

    def _classify(self, pixels: Sequence[np.ndarray], heatmap: bool, mirror: bool) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """(logits (C,), heat map) for each image of one batch."""
        if not pixels:
            return []
        outputs = self.logits(pixels)
        if mirror:
            # The picture is turned, not the model's input: its padding must stay right and below.
            outputs = (outputs + self.logits([image[:, ::-1] for image in pixels])) / 2
        if not heatmap:
            return [(row, None) for row in outputs]
        targets = [self.names[index] for index in self._likeliest_abnormal(outputs)]
        return list(zip(outputs, self.explain(pixels, targets), strict=True))

    def _tensor(self, pixels: Sequence[np.ndarray]) -> torch.Tensor:
        import torch

        return torch.from_numpy(stack_inputs(pixels, self.spec)).to(self.model.device)

    def _finding(self, source: str, outputs: np.ndarray, heatmap: np.ndarray | None, mirror: bool) -> Finding:
        calibrated = self.decision.probabilities(outputs[None])[0]
        raw = softmax(outputs.astype(np.float64))
        open_classes = self.decision.prediction_set(calibrated.tolist())
        reasons: tuple[str, ...] = ()
        if len(open_classes) == 1:
            verdict = open_classes[0]
        else:
            verdict = REFER
            reasons = (
                f"{' and '.join(open_classes)} are both possible" if open_classes else "no class is likely enough",
                "a radiologist should look at this image",
            )
        return Finding(
            source=source,
            verdict=verdict,
            probabilities={name: float(p) for name, p in zip(self.names, calibrated, strict=True)},
            raw_probabilities={name: float(p) for name, p in zip(self.names, raw, strict=True)},
            prediction_set=open_classes,
            reasons=reasons,
            heatmap=heatmap,
            calibrated=self.calibrated,
            mirrored=mirror,
            checkpoint=self.checkpoint,
            revision=self.revision,
        )

    def _unreadable(self, source: str, error: ImageRefusedError) -> Finding:
        return Finding(
            source=source,
            verdict=UNREADABLE,
            checkpoint=self.checkpoint,
            revision=self.revision,
            reasons=(error.reason.value, explain(error.reason), error.detail),
            calibrated=self.calibrated,
        )


def _load_model(checkpoint: files.Checkpoint) -> PreTrainedModel:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    import hf_bones.training.backbone.pooling  # noqa: F401 - lets transformers know the classifiers that are ours

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # one line of "Loading weights" a command says nothing
    try:
        model, loading = AutoModelForImageClassification.from_pretrained(
            checkpoint.folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise files.CheckpointError(f"{checkpoint.name}: transformers cannot load it as an image classifier: {error}") from error
    finally:
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(loading["missing_keys"]):
        raise files.CheckpointError(
            f"{checkpoint.name}: no weights for {', '.join(missing[:4])}, so its answers would be random; "
            "it is a backbone, not a trained classifier: train it first (`hf-bones train --model ...`)"
        )
    return model


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
