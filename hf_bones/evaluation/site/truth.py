"""What a site's labels say in the classes of a checkpoint, or where they say less than these, on which of two sides a film is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_bones.labels import SHIPPED_SCHEMES, LabelScheme, UnknownLabelError, normalise_name
from hf_bones.metrics.figures import Floats, Ints

ABNORMAL, UNUSED = "abnormal", "unused"
# Words that name a side and no class. As classes they are refused, since they hold more than fractures.
_ABNORMAL_WORDS = {"abnormal", "abnormality", "positive", "pathological", "pathology"}
_NORMAL_WORDS = {"negative", "not_abnormal", "no_abnormality", "not_positive", "unremarkable"}


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels of N films as figures use them.

    names: the classes, or two sides: the normal class and `abnormal`. labels (N,): index into them, −1 without a label. by_class: whether
    they are the checkpoint's classes. words: the site's word → how often it stands there and what it was taken for. cautions: sentences.
    """

    names: tuple[str, ...]
    normal_id: int
    labels: Ints
    by_class: bool
    words: Mapping[str, tuple[int, str]]
    cautions: tuple[str, ...] = ()

    def of_classes(self, probabilities: Floats, normal_id: int) -> Floats:
        """Probabilities (N, C) of a checkpoint's classes as those of `names`, (N, C) or (N, 2)."""
        if self.by_class:
            return probabilities
        normal = probabilities[:, normal_id]
        return np.stack([normal, 1 - normal], axis=1)


def read_truth(words: Sequence[str], scheme: LabelScheme, label_map: Mapping[str, str] | None = None) -> Truth:
    """The truth of films whose labels are `words` ("" without one), for a checkpoint with `scheme`.

    Figures go by class where the words name every class of the scheme, and by side (normal against abnormal) otherwise: "fracture" in a
    table that knows no other word covers fractures that the checkpoint calls by another class. Raises `UnknownLabelError` for a word that
    is neither a class nor a side; `label_map` sends it to a class, to `abnormal`, or to `unused`.
    """
    counted = Counter(word for word in words if word)
    by_hand = {normalise_name(word): name for word, name in (label_map or {}).items()}
    meant = {word: _meaning(word, scheme, by_hand) for word in counted}
    there = {name for name in meant.values() if name != UNUSED}
    by_class = ABNORMAL not in there and there >= set(scheme.names) - {scheme.normal} and bool(there)
    names = scheme.names if by_class else (scheme.normal, ABNORMAL)
    place = {name: names.index(name) if name in names else 1 for name in there} | {"": -1, UNUSED: -1}
    labels = np.array([place[meant.get(word, "")] for word in words], dtype=np.int64).reshape(-1)
    told = {word: (count, meant[word]) for word, count in counted.most_common()}
    return Truth(names, scheme.normal_id if by_class else 0, labels, by_class, told, tuple(_cautions(meant, scheme, by_class)))


def _meaning(word: str, scheme: LabelScheme, by_hand: Mapping[str, str]) -> str:
    """A class of `scheme`, `ABNORMAL` or `UNUSED`."""
    said = normalise_name(word)
    if said in by_hand:
        if by_hand[said] not in (*scheme.names, ABNORMAL, UNUSED):
            raise UnknownLabelError(
                f"--label-map sends {word!r} to {by_hand[said]!r}; expected {', '.join(scheme.names)}, abnormal or unused"
            )
        return by_hand[said]
    if said in _NORMAL_WORDS:
        return scheme.normal
    if (found := scheme.class_of(word)) is not None:
        return found
    if said in _ABNORMAL_WORDS:
        return ABNORMAL
    for other in SHIPPED_SCHEMES.values():  # "comminuted" where a checkpoint has two classes
        if other.normal == scheme.normal and other.class_of(word) is not None:
            return ABNORMAL
    try:
        return scheme.resolve(word)
    except UnknownLabelError as error:
        advice = f"Where it means that something is wrong with the bone: --label-map '{word}=abnormal'"
        raise UnknownLabelError(f"{error}. {advice}") from error


def _cautions(meant: Mapping[str, str], scheme: LabelScheme, by_class: bool) -> list[str]:
    found = []
    vague = [word for word, name in meant.items() if normalise_name(word) in _ABNORMAL_WORDS | _NORMAL_WORDS and name != UNUSED]
    if vague:
        found.append(
            f"Labels such as {vague[0]!r} may count metal, arthritis or a tumour as abnormal. The model looks for breaks, and a film of "
            "another disease that it calls normal counts as a miss here."
        )
    if meant and not by_class and len(scheme.names) > 2:
        found.append(
            f"The labels do not name every class of the model ({', '.join(scheme.names)}), so the figures are of abnormal against "
            f"{scheme.normal}: every other class of the model counts as abnormal."
        )
    return found
