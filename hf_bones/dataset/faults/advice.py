"""What to do where a class has no film, or too few, for training: the scheme or the splits that fit the films, as options of a build.

Not here: rows that contradict each other (`contradictions.py`), groups in two splits (`leaks.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hf_bones.curation.splits.names import SPLITS, TRAIN, VALIDATION
from hf_bones.dataset.scheme import fitting_scheme
from hf_bones.labels import FRACTURED, LabelScheme

LEAST = 3  # groups of a class, so that it can be in train, validation and test


@dataclass(frozen=True)
class Films:
    """The films of a dataset, one value a row: class, group, split, and the source's own word for the class."""

    labels: Sequence[str]
    groups: Sequence[str]
    splits: Sequence[str]
    words: Sequence[str]

    def groups_of(self, label: str) -> int:
        return len({group for name, group in zip(self.labels, self.groups, strict=True) if name == label})

    def lacking(self, names: Sequence[str], splits: Sequence[str]) -> list[tuple[str, str]]:
        """Each class of `names` with each of `splits` that has no film of it."""
        there = set(zip(self.labels, self.splits, strict=True))
        return [(name, split) for name in names for split in splits if (name, split) not in there]


@dataclass(frozen=True)
class Advice:
    """What is wrong, in words, and the options with which a build of the same films would be fit for training; None where none would."""

    text: str
    options: tuple[str, ...] | None


def class_advice(films: Films, scheme: LabelScheme) -> Advice | None:
    """What hinders training on the films, and the options that mend it; None where each class is in train and validation, and where the
    given splits have no film to train on, as those of a set to test with."""
    lacking = films.lacking(scheme.names, (TRAIN, VALIDATION))
    if not lacking or TRAIN not in films.splits:
        return None
    there = [name for name in scheme.names if name in films.labels]
    if len(there) == 1:
        return Advice(f"all films are of class {there[0]!r}, and training needs two classes", None)
    absent = [name for name in scheme.names if name not in there]
    fits = fitting_scheme(there, scheme)
    if absent and fits is not None and not films.lacking(fits.names, (TRAIN, VALIDATION)):
        return Advice(f"no film is of class {_listed(absent)}; the films are of the classes of scheme {fits.name}", ("--labels", fits.name))
    scarce = sorted({name for name, _ in lacking if name in there})
    few = {name: films.groups_of(name) for name in scarce}
    text = f"no film is of class {_listed(absent)}" if absent else _few(few, lacking)
    for options, result in (*_joined(films, scheme), *_dealt_anew(films, scheme, fits if absent else scheme)):
        if not result:
            return Advice(text, options)
    return Advice(text, None)


def _joined(films: Films, scheme: LabelScheme) -> list[tuple[tuple[str, ...], bool]]:
    """The options that make one class of all that is broken, with whether it still hinders training."""
    broken = [name for name in scheme.names if name != scheme.normal and name != FRACTURED]
    two = fitting_scheme((scheme.normal, FRACTURED), scheme)
    if two is None or not any(name in films.labels for name in broken):
        return []
    words = dict.fromkeys(word for word, name in zip(films.words, films.labels, strict=True) if name in broken)
    options = ["--labels", two.name]
    for word in words:
        options += ["--label-map", f"{word}={FRACTURED}"]
    joined = Films([FRACTURED if name in broken else name for name in films.labels], films.groups, films.splits, films.words)
    kept = bool(joined.lacking(two.names, (TRAIN, VALIDATION)))
    anew = any(joined.groups_of(name) < LEAST for name in two.names)
    return [(tuple(options), kept), ((*options, "--split-anew"), anew)]


def _dealt_anew(films: Films, scheme: LabelScheme, fits: LabelScheme | None) -> list[tuple[tuple[str, ...], bool]]:
    if fits is None:
        return []
    least = min(films.groups_of(name) for name in fits.names)
    labels = () if fits is scheme else ("--labels", fits.name)
    return [
        ((*labels, "--split-anew"), least < LEAST),
        ((*labels, "--split-anew", "--proportions", "0.5", "0.5", "0"), least < LEAST - 1),
    ]


def _few(few: Mapping[str, int], lacking: Sequence[tuple[str, str]]) -> str:
    told = []
    for name, groups in few.items():
        splits = " and ".join(split for split in SPLITS if (name, split) in lacking)
        told.append(f"class {name!r} has {groups} group{'s' * (groups != 1)} of films, and none in {splits}")
    return "; ".join(told)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))


def joining(scheme: LabelScheme, further: Sequence[str]) -> str:
    """How films of `further` classes are built with the classes of `scheme` alone, in words; the further ones are joined with its last."""
    words = shlex.join(word for name in further for word in ("--label-map", f"{name}={scheme.names[-1]}"))
    return f"build the dataset again with its classes: hf-bones build DATASET --labels {scheme.name} {words} --out FOLDER"


def build_again(dataset: str, options: Sequence[str]) -> str:
    """The command that builds a dataset again with other options, beside itself."""
    ending = "two-class" if "--labels" in options else "anew"
    return shlex.join(["hf-bones", "build", dataset, *options, "--out", f"{dataset.rstrip('/')}-{ending}"])


def bundled_look(dataset: str, split: str = TRAIN) -> str:
    """The command that asks the bundled model about films that nothing can be trained on."""
    return shlex.join(["hf-bones", "evaluate", "bundled", dataset, "--split", split, "--out", f"{dataset.rstrip('/')}-report"])
