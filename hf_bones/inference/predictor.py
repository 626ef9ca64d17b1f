"""`BonePredictor`: images in, findings out, from the bundled model, a folder or a Hub id.

Images go through `open_image` and `preprocess.to_input`, as they did in training. torch and transformers are imported when a
model is loaded, so that a command line that only checks its arguments stays quick.

Not here: loading the network (`network.py`), the heat map's method (`explain.py`), calibration (`decision.py`), the second look
(`second_look.py`), walking folders (`folder.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Limits, Radiograph, explain, open_image
from hf_bones.inference import checkpoint as files
from hf_bones.inference.answer import Answer
from hf_bones.inference.boxes import film_boxes
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.explain import heat_maps, likeliest_abnormal, patch_heat
from hf_bones.inference.finding import UNREADABLE, Finding
from hf_bones.inference.gate.features import Watched, watched
from hf_bones.inference.gate.fitted import Gate, GateAnswer
from hf_bones.inference.gate.pixels import colour_of, pixel_values
from hf_bones.inference.heat import UNFITTED, HeatScale
from hf_bones.inference.join import log_sum_exp
from hf_bones.inference.network import best_device, content_mask, load_heads, load_network, logits_of_heads, patch_logits, plain_logits
from hf_bones.inference.second_look import SCALE, TOP, SecondLook, evidence_of_doubtful, film_evidence
from hf_bones.inference.study.finding import study_finding
from hf_bones.inference.verdict import finding_of
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
    breaks, `box_head` what asks them where, `gate` what says that an image is no film, if these came too. `decision` says whether and how
    their answers join the network's.
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
        box_head: PatchHead | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.spec = spec
        self.decision = decision
        self.calibrated = calibrated
        self.checkpoint = checkpoint
        self.revision = revision
        self.patch_head = patch_head
        self.box_head = box_head
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
        own: dict[str, Any] = {"checkpoint": found.name, "revision": found.revision, "gate": files.gate_of(found)}
        own |= load_heads(found, model, decision)
        return cls(model, spec, decision, calibrated=calibrated, **own)

    @property
    def scheme(self) -> LabelScheme:
        return self.decision.scheme

    @property
    def names(self) -> tuple[str, ...]:
        return self.scheme.names

    @property
    def heat_scale(self) -> HeatScale:
        """What the numbers of `heat` mean."""
        return self.decision.heat or UNFITTED

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

    def predict_study(self, views: Sequence[ImageSource], *, name: str = "study", **options: Any) -> Finding:
        """One finding for several views of one patient's examination, with each view's own in `views`.

        `options` as for `predict`. See `study_finding` for how the views are joined; raises ValueError where there is none.
        """
        return study_finding(name, self.predict(list(views), **options), self.decision)

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
        return files.second_look_of(self.checkpoint, self.decision, has_patch_head=self.patch_head is not None)

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

    def views(
        self, pixels: Sequence[np.ndarray], *, mirror: bool = False, keep: list[np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What one pass says of opened images, a list of uint8 (H, W), in one batch: the network's own logits, float32 (N, C), and the
        evidence of the patches, float64 (N,), None without a patch head. With `mirror` each is the mean over image and mirror image.
        keep: a list to which `patches` of the upright images are added."""
        if mirror:  # The picture is turned, not the model's input: its padding must stay right and below.
            (one, seen), (other, also) = self.views(pixels, keep=keep), self.views([image[:, ::-1] for image in pixels])
            return (one + other) / 2, None if seen is None or also is None else (seen + also) / 2
        heads = [head for head in (self.patch_head, self.box_head) if head is not None]
        if not heads:
            return self.logits(pixels), None
        found, patches = logits_of_heads(self.model, heads, self._tensor(pixels), self._content(pixels))
        if keep is not None:
            keep.extend(patches[-1].cpu().numpy())  # of the box head, where there is one
        evidence = None if self.patch_head is None else log_sum_exp(patches[0].flatten(1).double().cpu().numpy())
        return found.cpu().numpy(), evidence

    def logits(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Raw outputs for opened images, a list of uint8 (H, W): float32 (N, C), in one batch."""
        return plain_logits(self.model, self._tensor(pixels)).cpu().numpy()

    def heat(
        self, pixels: Sequence[np.ndarray], targets: Sequence[str] | None = None, patches: Sequence[np.ndarray] = ()
    ) -> list[np.ndarray]:
        """Heat maps in the unit of `heat_scale`, float32 (H, W), for opened images, a list of uint8 (H, W).

        In probabilities they are of a break whatever its class, from the images' `patches`; in log odds as `explain` gives them.
        """
        if not self.heat_scale.of_patches:
            return self.explain(pixels, targets)
        return patch_heat(self.heat_scale, self.spec, pixels, patches or self.patches(pixels))

    def patches(self, pixels: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the box head, else the patch head, says of opened images (H, W), in one batch: logits (h, w), −inf for padding."""
        found: list[np.ndarray] = []
        self.views(pixels, keep=found)
        return found

    def explain(self, pixels: Sequence[np.ndarray], targets: Sequence[str] | None = None) -> list[np.ndarray]:
        """Heat maps in log odds, float32 (H, W), ≥ 0, for opened images, a list of uint8 (H, W).

        targets: the class to explain for each image; by default the likeliest class other than the normal one, so that the map of an image
        called healthy shows where a break was most nearly seen.
        """
        ids = None if targets is None else [self.names.index(name) for name in targets]
        return heat_maps(self.model, self.spec, pixels, ids, normal_id=self.scheme.normal_id, temperature=self.decision.temperature)

    def _classify(
        self, pixels: Sequence[np.ndarray], colours: Colours, heatmap: bool, mirror: bool, look: SecondLook | None, batch_size: int
    ) -> list[Answer]:
        """What there is to say of each image of one batch."""
        if not pixels:
            return []
        patches: list[np.ndarray] = []
        with nullcontext() if self.gate is None else self.watched(pixels) as seen:
            outputs, evidence = self.views(pixels, mirror=mirror, keep=patches)
        gated: Sequence[GateAnswer | None] = [None] * len(pixels)
        if self.gate is not None and seen is not None:
            gated = self.gate.answers(seen.features, list(map(pixel_values, pixels, colours)))
        joined = self.decision.joined(outputs, evidence)
        zoomed = np.zeros(len(pixels), dtype=bool)
        if look is not None:
            abnormal = 1 - softmax(joined)[:, self.scheme.normal_id]
            ask = partial(self.evidence, scale=look.scale, top=look.top, batch_size=batch_size)
            again = evidence_of_doubtful(look, abnormal, pixels, ask, mirror)
            joined, zoomed = self.decision.looked_again(joined, again, look), ~np.isnan(again)
        calibrated = self.decision.scaled(joined)
        maps: list[np.ndarray | None] = [None] * len(pixels)
        if heatmap:
            likeliest = [self.names[index] for index in likeliest_abnormal(outputs, self.scheme.normal_id)]
            maps = [*self.heat(pixels, likeliest, patches)]
        boxes = film_boxes(self.decision.boxes, pixels, patches, self.spec.size)
        answers = zip(outputs, calibrated, boxes, maps, zoomed, gated, strict=True)
        return [Answer(own, scaled, places, heat, mirror, bool(twice), gate) for own, scaled, places, heat, twice, gate in answers]

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
        scale = None if answer.heatmap is None else self.heat_scale
        found = finding_of(source, answer, self.decision, self.checkpoint, self.revision)
        return replace(found, heat_scale=scale, calibrated=self.calibrated)

    def unreadable(self, source: str, error: ImageRefusedError) -> Finding:
        """The finding of an image that was refused."""
        reasons = (error.reason.value, explain(error.reason), error.detail)
        return Finding(source, UNREADABLE, self.checkpoint, self.revision, reasons=reasons, calibrated=self.calibrated)
