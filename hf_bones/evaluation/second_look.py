"""Fits a second look for a finished checkpoint on a split that it did not learn from: what `hf-bones second-look` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.arrays.reading import stored_images
from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.report.looks import own_folder
from hf_bones.evaluation.report.run import load_splits, scheme_labels, text_column
from hf_bones.evaluation.second_look_choices import SecondLookChoices
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.inference.checkpoint import RECORD_FILE
from hf_bones.inference.decision import write_decision
from hf_bones.inference.second_look import SecondLook
from hf_bones.inference.second_look_fit import fit_second_look
from hf_bones.record import public_name, read_json

if TYPE_CHECKING:
    from datasets import DatasetDict

    from hf_bones.inference.predictor import BonePredictor


def fit_second_look_of(
    folder: str | Path,
    dataset: str | Path | DatasetDict,
    choices: SecondLookChoices = SecondLookChoices(),  # noqa: B008 - frozen
) -> SecondLook:
    """Fits the second look of the checkpoint in `folder` on a split of `dataset`, writes it into its decision.json and returns it.

    Classes weigh the same where the checkpoint's record has a verdict shift. Rows that cannot be opened, or have no label, are left out.
    Raises ValueError for a checkpoint that is no folder of one's own, has no decision.json or no patch head, for the split `train`, and
    where healthy or abnormal rows are of fewer than two groups.
    """
    from hf_bones.inference.predictor import BonePredictor

    own = own_folder(folder)
    if own is None:
        raise ValueError(f"{folder}: a second look is written into decision.json; name a checkpoint folder of your own")
    if choices.split == "train":
        raise ValueError("split 'train': the checkpoint knows these films, and its doubts there are not those about new ones")
    data = load_splits(dataset)
    require_split(data, choices.split, public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory")
    predictor = BonePredictor.from_pretrained(own, device=choices.device)
    if not predictor.calibrated:
        raise ValueError(f"{folder}: no decision.json, so there is no calibrated answer that a second look could join")
    part = data[choices.split]
    given = scheme_labels(part, predictor.scheme, f"split {choices.split!r}")
    labelled = np.flatnonzero(given >= 0).tolist()
    images = (image for some in stored_images(part, labelled) for image in some)
    names = [group or f"row {row}" for row, group in enumerate(text_column(part, "group"))]
    films = Films(images, len(labelled))
    logits, evidence = both_looks(predictor, films, choices)
    kept = [labelled[row] for row in films.readable]
    record = read_json(own / RECORD_FILE) if (own / RECORD_FILE).is_file() else {}
    look = fit_second_look(
        predictor.decision,
        logits,
        evidence,
        given[kept],
        [names[row] for row in kept],
        balanced=bool(record.get("verdict_shift")),
        scale=choices.scale,
        top=choices.top,
        doubtful=(choices.doubtful_from, choices.doubtful_to),
    )
    write_decision(replace(predictor.decision, second_look=look), own)
    return look


class Films:
    """Opened images one after the other, `readable` being the numbers of those that could be opened so far."""

    def __init__(self, sources: Iterable[bytes], count: int) -> None:
        self.sources, self.count = sources, count
        self.readable: list[int] = []

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        from tqdm import tqdm

        for row, source in enumerate(tqdm(self.sources, total=self.count, unit="image", desc="second look", disable=None)):
            try:
                pixels = open_image(source).pixels
            except ImageRefusedError:
                continue
            self.readable.append(row)
            yield pixels


def both_looks(
    predictor: BonePredictor, films: Films, choices: SecondLookChoices
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Logits (N, C) and evidence (N,) of the films that can be opened, a batch in memory at a time."""
    logits, evidence, batch = [], [], []
    opened = iter(films)
    while True:
        film = next(opened, None)
        if film is not None:
            batch.append(film)
        if batch and (film is None or len(batch) == choices.batch_size):
            logits.append(predictor.logits(batch))
            evidence.append(predictor.evidence(batch, scale=choices.scale, top=choices.top, batch_size=choices.batch_size))
            batch = []
        if film is None:
            break
    if not logits:
        raise ValueError(f"split {choices.split!r}: no labelled row that can be opened")
    return np.concatenate(logits), np.concatenate(evidence)
