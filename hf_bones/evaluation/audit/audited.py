"""The checkpoint and the films of an audit, and what several of its parts need of them, computed when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from datasets import DatasetDict, concatenate_datasets

from hf_bones.evaluation.audit.answers import Answers, answers_to
from hf_bones.evaluation.audit.changes import AS_IT_IS, Change
from hf_bones.evaluation.audit.choices import AuditChoices
from hf_bones.evaluation.audit.films import Films, films_of
from hf_bones.evaluation.columns import image_names, row_columns
from hf_bones.evaluation.compare.scores import fingerprint
from hf_bones.evaluation.opinions.frozen import FrozenFeatures, frozen_features, learnt_from, load_backbone
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.seen import SeenRows, seen_by
from hf_bones.labels import LabelScheme

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

OPEN = "train and validation"  # the films whose features are used
_OPEN_SPLITS = ("train", "validation")


class Audited:
    """`predictor` is the checkpoint called `model`, `data` the splits, `out` the folder of the page, `kept` that of what was computed."""

    def __init__(self, model: str, predictor: BonePredictor, data: DatasetDict, out: Path, choices: AuditChoices) -> None:
        self.model, self.predictor, self.data, self.out, self.choices = model, predictor, data, out, choices
        self.kept = choices.cache or out / "kept"
        self.resampling = Resampling(repeats=choices.resamples, seed=choices.seed)

    @property
    def scheme(self) -> LabelScheme:
        return self.predictor.scheme

    @cached_property
    def films(self) -> Films:
        """The films that are scored."""
        return films_of(self.data, self.choices.split, self.scheme, self.choices.films, self.choices.seed)

    def answers(self, change: Change = AS_IT_IS) -> Answers:
        """The checkpoint's answers to them after a change."""
        return answers_to(self.predictor, self.films, change, self.answers_folder, self.choices.batch_size)

    @cached_property
    def answers_folder(self) -> Path:
        """Where answers of this very checkpoint are kept, whatever it is called."""
        return self.kept / "answers" / fingerprint(self.model, self.choices.revision)[:24]

    @cached_property
    def readable(self) -> npt.NDArray[np.int64]:
        """The scored films that can be opened."""
        found = np.flatnonzero(self.answers().readable)
        if not len(found):
            raise ValueError(f"split {self.choices.split!r}: no image can be read")
        return found

    @cached_property
    def seen(self) -> SeenRows:
        """Which of the readable films the checkpoint had before."""
        part = self.films.rows.part.select(self.readable.tolist())
        return seen_by(self.predictor.checkpoint, self.predictor.revision, part, self.choices.split)

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Image id → why a labelled film has no figures."""
        names = image_names(self.films.rows.part)
        return {names[row]: "unreadable" for row in sorted(set(range(len(self.films))) - set(self.readable.tolist()))}

    @cached_property
    def rows(self) -> ScoredRows:
        """The readable films with the checkpoint's answers to them as they are."""
        return self.scored(self.answers())

    def scored(self, answers: Answers) -> ScoredRows:
        """The readable films with these answers."""
        own = self.readable
        return ScoredRows(
            names=self.scheme.names,
            normal_id=self.scheme.normal_id,
            labels=self.films.rows.labels[own],
            probabilities=answers.probabilities[own],
            verdicts=answers.verdicts[own].tolist(),
            seen=self.seen,
            **row_columns(self.films.rows.part, own.tolist()),
        )

    @cached_property
    def open_films(self) -> Films | None:
        """The labelled films of train and validation; None where the dataset has neither."""
        parts = [self.data[split] for split in _OPEN_SPLITS if split in self.data and len(self.data[split])]
        if not parts:
            return None
        return films_of({OPEN: concatenate_datasets(parts)}, OPEN, self.scheme, self.choices.films, self.choices.seed)

    @cached_property
    def features(self) -> FrozenFeatures:
        """What the checkpoint's head is given of each of `open_films`."""
        assert self.open_films is not None, "callers have looked"
        backbone = load_backbone(self.model, revision=self.choices.revision, device=self.choices.device)
        return frozen_features(backbone, self.open_films.readers, self.open_films.hashes, self.kept / "features")

    @cached_property
    def flattered(self) -> str:
        """A warning where the backbone was trained on labels, which may be those that heads on it are asked about."""
        return learnt_from(self.model)
