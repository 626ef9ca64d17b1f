"""Which classes each source holds, and how far the class can be guessed from source, region, view, cast or metal alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict, concatenate_datasets

from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.choices import SOURCES
from hf_bones.evaluation.audit.plots import plot_shares
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.report.rows import NOT_STATED
from hf_bones.evaluation.report.run import scheme_labels
from hf_bones.metrics.figures import Ints
from hf_bones.pages.text import plain

COLUMNS = {"source": "source", "region": "region", "view": "view", "cast": "cast", "hardware": "metal"}  # of a dataset → in words
_UNKNOWN = {"", "unknown", "None"}
_WORDS = {"True": "seen", "False": "not seen"}
PICTURE = "sources.png"


def stated_values(part: Dataset, column: str) -> npt.NDArray[np.str_] | None:
    """(N,) what a column says of each film, "" where it says nothing; None for a column that is not there or says nothing of any film."""
    if column not in part.column_names:
        return None
    values = np.array(["" if str(value) in _UNKNOWN else _WORDS.get(str(value), str(value)) for value in part[column][:]])
    return values if (values != "").any() else None


def sources_part(audited: Audited) -> Section:
    """The table of classes by source, over all splits, and what each column alone tells of the class."""
    whole = _whole(audited.data)
    labels = scheme_labels(whole, audited.scheme, "the dataset")
    whole, labels = whole.select(np.flatnonzero(labels >= 0).tolist()), labels[labels >= 0]
    names = audited.scheme.names
    title, asks = "Classes and sources", "Does the class go with where a film comes from?"
    found = stated_values(whole, "source")
    values = np.array([value or NOT_STATED for value in found]) if found is not None else np.full(len(labels), NOT_STATED)
    order = [name for name, _ in Counter(values.tolist()).most_common()]
    counts = {name: [int(((values == name) & (labels == index)).sum()) for index in range(len(names))] for name in order}
    body = tuple((plain(name), *map(str, own), str(sum(own))) for name, own in counts.items())
    tables = [Table(("source", *map(plain, names), "films"), body, 1)]
    told, missing, alone = [], [], []
    for column, word in COLUMNS.items():
        stated = stated_values(whole, column)
        if stated is None:
            missing.append(f"{word}: the dataset says of no film what its {word} is (column `{column}`)")
            continue
        known = stated != ""
        if len(set(stated[known].tolist())) < 2:
            missing.append(f"{word}: all films of which it is known are alike ({plain(stated[known][0])})")
            continue
        alone.append((column, word, int(known.sum()), *guessed(stated[known], labels[known], len(names))))
    if alone:
        body = tuple((word, str(n), f"{own:.2f}", f"{chance:.2f}") for _, word, n, own, chance in alone)
        tables.append(
            Table(("guessed from", "films of which it is known", "balanced accuracy of the best guess", "of one guess for all"), body, 1)
        )
    told += [_one_class_words(counts), *(_guess_words(*each[1:]) for each in alone)]
    picture = {}
    if len(counts) > 1:
        plot_shares(counts, names, audited.out / PICTURE)
        picture = {PICTURE: "Share of each class in each source"}
    data = {
        "films": {name: dict(zip(names, own, strict=True)) for name, own in counts.items()},
        "guessed": {column: {"n": n, "balanced_accuracy": own, "chance": chance} for column, _, n, own, chance in alone},
    }
    return Section(SOURCES, title, asks, tuple(told), tuple(tables), picture, tuple(missing), data)


def guessed(values: npt.NDArray[np.str_], labels: Ints, classes: int) -> tuple[float, float]:
    """Balanced accuracy of naming for each value the class that is most over-represented there, counted on the same films; and of one
    class for all: one over the classes that there are."""
    present = [index for index in range(classes) if (labels == index).any()]
    right = dict.fromkeys(present, 0.0)
    for value in np.unique(values):
        shares = {index: float(((values == value) & (labels == index)).sum() / (labels == index).sum()) for index in present}
        best = max(present, key=lambda index: shares[index])
        right[best] += shares[best]
    return sum(right.values()) / len(present), 1 / len(present)


def _whole(data: DatasetDict) -> Dataset:
    return concatenate_datasets([part.remove_columns([c for c in part.column_names if c in ("image", "boxes")]) for part in data.values()])


def _one_class_words(counts: dict[str, list[int]]) -> str:
    if len(counts) < 2:
        return f"All films are of one source ({plain(next(iter(counts)))}): figures across sources cannot be had from this dataset."
    lacking = [name for name, own in counts.items() if sum(count > 0 for count in own) < len(own)]
    films, total = sum(sum(counts[name]) for name in lacking), sum(map(sum, counts.values()))
    if not lacking:
        return f"Each of the {len(counts)} sources holds films of every class."
    return (
        f"{len(lacking)} of {len(counts)} sources lack a class ({films} of {total} films: {', '.join(map(plain, lacking))}): who tells the "
        "source knows part of the answer."
    )


def _guess_words(word: str, n: int, own: float, chance: float) -> str:
    much = own - chance >= 0.1
    return (
        f"Who knew the {word} alone, and no pixel, could name the class with a balanced accuracy of {own:.2f} (one guess for all films: "
        f"{chance:.2f}; {n} films){': it goes with the class' if much else ''}."
    )
