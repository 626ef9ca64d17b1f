"""`BonePredictor`: images in, findings out, from the bundled model, a folder or a Hub id.

Images go through `open_image` and `preprocess.to_input`, as they did in training. torch and transformers are imported when a
model is loaded, so that a command line that only checks its arguments stays quick.

Not here: loading the network (`network.py`), the heat map's method (`explain.py`), calibration (`decision.py`), the second look
(`second_look.py`), walking folders (`folder.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Limits, Radiograph, explain, open_image
from hf_bones.inference import checkpoint as files
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.explain import HEATMAP_BATCH, heat_maps
from hf_bones.inference.finding import UNREADABLE, Finding
from hf_bones.inference.gate import Gate, GateAnswer
from hf_bones.inference.gate_features import Watched, watched
from hf_bones.inference.gate_pixels import colour_of, pixel_values
from hf_bones.inference.join import log_sum_exp
from hf_bones.inference.network import best_device, content_mask, load_network, load_patch_head, logits_and_patches, patch_logits
from hf_bones.inference.second_look import SCALE, TOP, SecondLook, evidence_of_doubtful, film_evidence
from hf_bones.inference.verdict import Answer, verdict_of
from hf_bones.labels import LabelScheme
from hf_bones.logits import softmax
from hf_bones.preprocess import InputSpec, fitted_shape, stack_inputs
from hf_bones.record import read_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from hf_bones.training.backbone.patch_head import PatchHead

ImageSource = str | Path | bytes | Image.Image | np.ndarray
Colours = Sequence[float | None]  # of each image its mean chroma; None where no gate asks for it
Opener = Callable[[ImageSource, Limits], Radiograph]  # `open_image`, or one that opens in another process


class BonePredictor:
    """A checkpoint ready to answer. Make one with `from_pretrained`.

    `spec` is the model input, `scheme` the classes with their definitions, `names` their names in the order of the outputs, `calibrated`
    whether a decision.json came with the checkpoint, `checkpoint` and `revision` what is loaded, `patch_head` what asks its patches for
    breaks, if that came too. `decision` says whether and how their answers join the network's. `gate` says what is no film, if it came too.
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
        patch_head: PatchHead | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.spec = spec
        self.decision = decision
        self.calibrated = calibrated
        self.checkpoint = checkpoint
        self.revision = revision
        self.patch_head = patch_head
        self.gate = gate

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, device: str | None = None) -> BonePredictor:
        """Loads `bundled`, a folder, or a Hub id `owner/name` at `revision` (a branch, tag or commit).

        Weights must be safetensors and run in float32; no code from the checkpoint is run. `device` is a torch device; by default a GPU
        where there is one. Raises `CheckpointError` (a ValueError) naming the checkpoint and what to do.
        """
        found = files.find_checkpoint(name, revision)
        config = read_json(found.folder / files.CONFIG_FILE)
        spec = files.spec_of(found)
        decision, calibrated = files.decision_of(found, config, spec)
        model = load_network(found).to(device or best_device())
        head = load_patch_head(found, model, needed=decision.patches is not None)
        own = {"checkpoint": found.name, "revision": found.revision, "patch_head": head, "gate": files.gate_of(found)}
        return cls(model, spec, decision, calibrated=calibrated, **own)

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
        zoom: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> list[Finding]:
        """One finding an image, in the same order.

        images: paths, bytes of files, PIL images or arrays (H, W) or (H, W, C), one or a list; an array is always one image. An image that
        cannot be opened gets the verdict `unreadable` and the reason, and nothing changes for the others. mirror: score each image
        mirrored left-right as well and average the logits, which are then calibrated as ever; twice the time. A heat map is of the
        upright image alone, for the class that the average makes the likeliest abnormal one. zoom: a second look at doubtful films, in
        windows at twice the size, as decision.json says; with mirror, at the mirror image too, and the two looks are averaged. Raises
        `CheckpointError` for a zoom where the checkpoint has no second look.
        """
        if isinstance(images, (str, Path, bytes, Image.Image, np.ndarray)):
            images = [images]
        return list(self.predict_iter(images, batch_size=batch_size, heatmap=heatmap, mirror=mirror, zoom=zoom, limits=limits))

    def predict_iter(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int = 16,
        heatmap: bool = False,
        mirror: bool = False,
        zoom: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        opener: Opener = open_image,
    ) -> Iterator[Finding]:
        """As `predict`, but takes and gives images one batch at a time, so that any number of them fits into memory.

        opener: what opens each image; `OpeningProcesses.open` gives each file a deadline.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        look = self.second_look() if zoom else None
        remaining = enumerate(images)
        while batch := list(islice(remaining, batch_size)):
            opened: list[Radiograph | ImageRefusedError] = []
            for _, source in batch:
                try:
                    opened.append(opener(source, limits))
                except ImageRefusedError as error:
                    opened.append(error)
            films = [(source, one) for (_, source), one in zip(batch, opened, strict=True) if isinstance(one, Radiograph)]
            colours = [None if self.gate is None else colour_of(source, one, limits) for source, one in films]
            answers = iter(self._classify([one.pixels for _, one in films], colours, heatmap, mirror, look, batch_size))
            for (index, source), one in zip(batch, opened, strict=True):
                name = str(source) if isinstance(source, (str, Path)) else f"image[{index}]"
                if isinstance(one, ImageRefusedError):
                    yield self.unreadable(name, one)
                else:
                    yield self._finding(name, next(answers))

    def second_look(self) -> SecondLook:
        """The checkpoint's second look. Raises `CheckpointError` saying what to do where it has none."""
        if self.patch_head is None:
            raise files.CheckpointError(
                f"{self.checkpoint}: no second look: it has no {files.PATCH_HEAD_FILE}, which a run with box_loss over 0 writes. Train it "
                "with box_loss and second_look: true, or leave out zoom"
            )
        if self.decision.second_look is None:
            raise files.CheckpointError(
                f"{self.checkpoint}: no second look: its decision.json says none. Fit one on films that it did not learn from with "
                "`hf-bones second-look FOLDER DATASET`, or leave out zoom"
            )
        return self.decision.second_look

    def evidence(self, pixels: Iterable[np.ndarray], *, scale: float = SCALE, top: int = TOP, batch_size: int = 16) -> np.ndarray:
        """What the patches of windows at `scale` times the size say of a break, float64 (N,), for opened images uint8 (H, W).

        The mean of the `top` highest patch logits of each film. Raises `CheckpointError` for a checkpoint without a patch head.
        """
        if self.patch_head is None:
            self.second_look()
        return film_evidence(pixels, self._highest_patches, self.spec.size, scale, top, batch_size)

    def _highest_patches(self, windows: Sequence[np.ndarray], count: int) -> np.ndarray:
        """The `count` highest patch logits of each of a batch of windows, float64 (B, count) or fewer columns; −inf for padding."""
        assert self.patch_head is not None
        found = patch_logits(self.model, self.patch_head, self._tensor(windows), self._content(windows)).flatten(1)
        return found.topk(min(count, found.shape[1])).values.double().cpu().numpy()

    def views(self, pixels: Sequence[np.ndarray], *, mirror: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """What one pass says of opened images, a list of uint8 (H, W), in one batch: the network's own logits, float32 (N, C), and the
        evidence of the patches, float64 (N,), None without a patch head. With `mirror` each is the mean over image and mirror image."""
        if mirror:  # The picture is turned, not the model's input: its padding must stay right and below.
            (one, seen), (other, also) = self.views(pixels), self.views([image[:, ::-1] for image in pixels])
            return (one + other) / 2, None if seen is None or also is None else (seen + also) / 2
        if self.patch_head is None:
            return self.logits(pixels), None
        found, patches = logits_and_patches(self.model, self.patch_head, self._tensor(pixels), self._content(pixels))
        return found.cpu().numpy(), log_sum_exp(patches.flatten(1).double().cpu().numpy())

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
        if targets is None:
            outputs = np.concatenate([self.logits(pixels[i : i + HEATMAP_BATCH]) for i in range(0, len(pixels), HEATMAP_BATCH)])
            ids = self._likeliest_abnormal(outputs)
        else:
            ids = [self.names.index(name) for name in targets]
        return heat_maps(self.model, self.spec, pixels, ids)

    def _likeliest_abnormal(self, outputs: np.ndarray) -> list[int]:
        without_normal = outputs.copy()
        without_normal[:, self.scheme.normal_id] = -np.inf
        return [int(index) for index in without_normal.argmax(axis=1)]

    def _classify(
        self, pixels: Sequence[np.ndarray], colours: Colours, heatmap: bool, mirror: bool, look: SecondLook | None, batch_size: int
    ) -> list[Answer]:
        """What there is to say of each image of one batch."""
        if not pixels:
            return []
        with nullcontext() if self.gate is None else self.watched(pixels) as seen:
            outputs, evidence = self.views(pixels, mirror=mirror)
        gated: Sequence[GateAnswer | None] = [None] * len(pixels)
        if self.gate is not None and seen is not None:
            gated = self.gate.answers(seen.features, list(map(pixel_values, pixels, colours)))
        calibrated = self.decision.calibrated(outputs, evidence)
        zoomed = np.zeros(len(pixels), dtype=bool)
        if look is not None:
            abnormal = 1 - softmax(calibrated)[:, self.scheme.normal_id]
            ask = partial(self.evidence, scale=look.scale, top=look.top, batch_size=batch_size)
            again = evidence_of_doubtful(look, abnormal, pixels, ask, mirror)
            calibrated, zoomed = self.decision.looked_again(calibrated, again, look), ~np.isnan(again)
        maps: list[np.ndarray | None] = [None] * len(pixels)
        if heatmap:
            maps = [*self.explain(pixels, [self.names[index] for index in self._likeliest_abnormal(outputs)])]
        answers = zip(outputs, calibrated, maps, zoomed, gated, strict=True)
        return [Answer(own, joined, heat, mirror, bool(twice), gate) for own, joined, heat, twice, gate in answers]

    def watched(self, pixels: Sequence[np.ndarray]) -> AbstractContextManager[Watched]:
        """Within it the next forward pass, which must be of these opened images, leaves the features that a gate knows images by."""
        return watched(self.model, self._content(pixels))

    def _content(self, pixels: Sequence[np.ndarray]) -> torch.Tensor:
        """Where the inputs of these images hold picture and no padding, bool (B, S, S)."""
        shapes = [fitted_shape(image.shape[0], image.shape[1], self.spec.size) for image in pixels]
        return content_mask(shapes, self.spec.size, self.model.device)

    def _tensor(self, pixels: Sequence[np.ndarray]) -> torch.Tensor:
        import torch

        return torch.from_numpy(stack_inputs(pixels, self.spec)).to(self.model.device)

    def _finding(self, source: str, answer: Answer) -> Finding:
        calibrated = softmax(answer.calibrated[None])[0]
        raw = softmax(answer.logits.astype(np.float64))
        open_classes = self.decision.prediction_set(calibrated.tolist())
        verdict, reasons = verdict_of(open_classes, answer.gate)
        return Finding(
            source=source,
            verdict=verdict,
            probabilities={name: float(p) for name, p in zip(self.names, calibrated, strict=True)},
            raw_probabilities={name: float(p) for name, p in zip(self.names, raw, strict=True)},
            prediction_set=open_classes,
            reasons=reasons,
            heatmap=answer.heatmap,
            calibrated=self.calibrated,
            mirrored=answer.mirrored,
            zoomed=answer.zoomed,
            gated=answer.gate is not None,
            familiarity=None if answer.gate is None else answer.gate.familiarity,
            checkpoint=self.checkpoint,
            revision=self.revision,
        )

    def unreadable(self, source: str, error: ImageRefusedError) -> Finding:
        """The finding of an image that was refused."""
        return Finding(
            source=source,
            verdict=UNREADABLE,
            checkpoint=self.checkpoint,
            revision=self.revision,
            reasons=(error.reason.value, explain(error.reason), error.detail),
            calibrated=self.calibrated,
        )
