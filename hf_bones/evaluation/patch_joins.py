"""Fits how patches join a finished checkpoint's answers, on a split that it did not learn from: what `hf-bones join-patches` and
`hf-bones second-look` do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.arrays.reading import stored_images
from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.columns import text_column
from hf_bones.evaluation.patch_join_choices import PatchJoinChoices, SecondLookChoices
from hf_bones.evaluation.report.looks import own_folder
from hf_bones.evaluation.report.run import load_splits, scheme_labels
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.inference.checkpoint import RECORD_FILE
from hf_bones.inference.decision import write_decision
from hf_bones.inference.join import PatchJoin
from hf_bones.inference.join_fit import film_views, fit_patches, fit_second_look
from hf_bones.inference.second_look import SecondLook
from hf_bones.record import public_name, read_json

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_bones.inference.predictor import BonePredictor


def fit_patches_of(
    folder: str | Path,
    dataset: str | Path | DatasetDict,
    choices: PatchJoinChoices = PatchJoinChoices(),  # noqa: B008 - frozen
) -> PatchJoin:
    """Fits how the patches join the answers of the checkpoint in `folder`, writes it into its decision.json and returns it.

    Second look, vector scaling and thresholds that were fitted before are taken away: they were fitted to other answers. For the
    rest see `fit_second_look_of`.
    """
    fit = _opened(folder, dataset, choices)
    logits, evidence = film_views(fit.predictor, fit.films, choices.batch_size)
    join = fit_patches(fit.predictor.decision, logits, evidence, *fit.told(), balanced=fit.balanced)
    plain = replace(fit.predictor.decision, vector=None, thresholds=None, conformal=None, second_look=None)
    write_decision(replace(plain, patches=join), fit.folder)
    return join


def fit_second_look_of(
    folder: str | Path,
    dataset: str | Path | DatasetDict,
    choices: SecondLookChoices = SecondLookChoices(),  # noqa: B008 - frozen
) -> SecondLook:
    """Fits the second look of the checkpoint in `folder` on a split of `dataset`, writes it into its decision.json and returns it.

    Healthy and abnormal films weigh the same where the checkpoint's record has a verdict shift or `sampling: source`. Rows that cannot be
    opened, or have no label, are left out.
    Raises ValueError for a checkpoint that is no folder of one's own, has no decision.json or no patch head, for the split `train`, and
    where healthy or abnormal rows are of fewer than two groups.
    """
    fit = _opened(folder, dataset, choices)
    decision = fit.predictor.decision
    joined = decision.joined(*film_views(fit.predictor, fit.films, choices.batch_size))
    evidence = fit.predictor.evidence(fit.films, scale=choices.scale, top=choices.top, batch_size=choices.batch_size)
    look = fit_second_look(
        decision,
        joined,
        evidence,
        *fit.told(),
        balanced=fit.balanced,
        scale=choices.scale,
        top=choices.top,
        doubtful=(choices.doubtful_from, choices.doubtful_to),
    )
    write_decision(replace(decision, second_look=look), fit.folder)
    return look


@dataclass
class Films:
    """The labelled rows of a split, opened one after the other, as often as they are asked for. `readable` are the numbers of those that
    could be opened, `left_out` those of the others, each of which is named once."""

    part: Dataset
    rows: list[int]
    readable: list[int] = field(default_factory=list)
    left_out: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        from tqdm import tqdm

        self.readable.clear()
        images = (image for some in stored_images(self.part, self.rows) for image in some)
        for row, source in zip(self.rows, tqdm(images, total=len(self.rows), unit="image", desc="films", disable=None), strict=True):
            try:
                pixels = open_image(source).pixels
            except ImageRefusedError as error:
                if row not in self.left_out:
                    log.warning("row %d cannot be read and is left out: %s", row, error)
                self.left_out.add(row)
                continue
            self.readable.append(row)
            yield pixels


@dataclass(frozen=True)
class _Fit:
    """What a fit is made from: the checkpoint, its folder, the films, the class id and the group of each row, and whether healthy
    and abnormal films weigh the same."""

    predictor: BonePredictor
    folder: Path
    films: Films
    labels: npt.NDArray[np.int64]
    groups: list[str]
    balanced: bool

    def told(self) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Labels and groups of the films that could be opened."""
        return self.labels[self.films.readable], [self.groups[row] for row in self.films.readable]


def _opened(folder: str | Path, dataset: str | Path | DatasetDict, choices: PatchJoinChoices) -> _Fit:
    from hf_bones.inference.predictor import BonePredictor

    own = own_folder(folder)
    if own is None:
        raise ValueError(f"{folder}: what is fitted is written into decision.json; name a checkpoint folder of your own")
    if choices.split == "train":
        raise ValueError("split 'train': the checkpoint knows these films, and its doubts there are not those about new ones")
    data = load_splits(dataset)
    require_split(data, choices.split, public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory")
    predictor = BonePredictor.from_pretrained(own, device=choices.device)
    if not predictor.calibrated:
        raise ValueError(f"{folder}: no decision.json, so there is no calibrated answer that patches could join")
    part = data[choices.split]
    given = scheme_labels(part, predictor.scheme, f"split {choices.split!r}")
    names = [group or f"row {row}" for row, group in enumerate(text_column(part, "group"))]
    record = read_json(own / RECORD_FILE) if (own / RECORD_FILE).is_file() else {}
    films = Films(part, np.flatnonzero(given >= 0).tolist())
    sampling = record.get("recipe", {}).get("training", {}).get("sampling")
    balanced = bool(record.get("verdict_shift")) or sampling == "source"
    return _Fit(predictor, own, films, given, names, balanced)
