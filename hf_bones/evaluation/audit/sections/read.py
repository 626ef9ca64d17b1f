"""How well what should not matter can be read from the features: source, region, metal, casts and markers.

A linear head on the frozen features names each, asked about films of groups that it did not see (`opinions/out_of_fold.py`). What can be
read can be used: a head that tells the classes apart by the source is as easily had as one that tells them apart by the break.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.curation.checks.marks import drawn_share
from hf_bones.curation.checks.measures import WORKING_SIDE, shrunk
from hf_bones.curation.recipe import CheckSettings, OpinionSettings
from hf_bones.evaluation.audit.audited import OPEN, Audited
from hf_bones.evaluation.audit.choices import READ
from hf_bones.evaluation.audit.films import Films
from hf_bones.evaluation.audit.plots import plot_lines
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.sections.sources import stated_values
from hf_bones.evaluation.audit.weighing import figure_words, weighed
from hf_bones.evaluation.opinions.by_hash import CHUNK, keep_by_hash, kept_by_hash
from hf_bones.evaluation.opinions.out_of_fold import out_of_fold
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.report.figures import MIN_GROUPS, Figure, Resampling
from hf_bones.images.opening import ImageRefusedError
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.pages.text import plain

PICTURE = "read.png"
ATTRIBUTES = {"source": "source", "region": "region", "hardware": "metal", "cast": "casts", "markers": "markers"}
_MARKED = ("without", "with")
_MOST_VALUES = 12  # the commonest are told apart; the others are left out
# Strong enough for 768 numbers a film, and the same for every attribute, so that they compare; see `OpinionSettings.strengths`.
_SETTINGS = OpinionSettings(repeats=1, strengths=[3e-3], class_weights="balanced")


def read_part(audited: Audited) -> Section:
    """Balanced accuracy of reading each attribute from the features, with chance, on all films and on those of the normal class alone."""
    title, asks = "What can be read from the features", "Do the features hold what a doctor would not look at?"
    films = audited.open_films
    if films is None:
        return Section(READ, title, asks, missing=(f"the dataset has no films of {OPEN}, whose features would be read",))
    kept = audited.features.kept
    features, labels = audited.features.values[kept], films.rows.labels[kept]
    groups = np.array(films.rows.groups)[kept]
    normal = labels == audited.scheme.normal_id
    everywhere: dict[str, Figure] = {}
    healthy: dict[str, Figure] = {}
    body, said, missing, data = [], [], [], {}
    for column, word in ATTRIBUTES.items():
        stated = _markers(films, audited) if column == "markers" else stated_values(films.rows.part, column)
        if stated is None:
            missing.append(f"{word}: the dataset says of no film of {OPEN} what its {word} is (column `{column}`)")
            continue
        found = _reading(features, stated[kept], groups, audited.resampling)
        if isinstance(found, str):
            missing.append(f"{word}: {found}")
            continue
        figure, values = found
        within = _reading(features[normal], stated[kept][normal], groups[normal], audited.resampling)
        everywhere[word] = figure
        if not isinstance(within, str):
            healthy[word] = within[0]
        cell = f"{figure_cell(within[0])}, chance {1 / len(within[1]):.2f}" if not isinstance(within, str) else "– (too few films)"
        told = ", ".join(f"{plain(name)} {count}" for name, count in values.items())
        body.append((word, f"{figure_cell(figure)}", f"{1 / len(values):.2f}", cell, told))
        said.append(_sentence(word, figure, len(values)))
        data[column] = {
            "balanced_accuracy": figure,
            "chance": 1 / len(values),
            "films": values,
            "normal_films_alone": None if isinstance(within, str) else {"balanced_accuracy": within[0], "chance": 1 / len(within[1])},
        }
    head = ("what is read", "balanced accuracy", "chance", f"{plain(audited.scheme.normal)} films alone", "films")
    pictures = {}
    if everywhere:
        plot_lines({"all films": everywhere, f"{audited.scheme.normal} films alone": healthy}, "balanced accuracy", audited.out / PICTURE)
        pictures = {PICTURE: "Balanced accuracy of reading each from the features"}
    tables = (Table(head, tuple(body)),) if body else ()
    return Section(READ, title, asks, tuple(said), tables, pictures, tuple(missing), data)


def _reading(
    features: npt.NDArray[np.float32], values: npt.NDArray[np.str_], groups: npt.NDArray[np.str_], resampling: Resampling
) -> tuple[Figure, dict[str, int]] | str:
    """The balanced accuracy of naming the value, and the films of each value; or why it cannot be asked."""
    enough = {
        str(name): count
        for name, count in Counter(values.tolist()).most_common(_MOST_VALUES + 1)
        if name and count >= MIN_ROWS and len(set(groups[values == name].tolist())) >= MIN_GROUPS
    }
    names = list(enough)[:_MOST_VALUES]
    if len(names) < 2:
        known = ", ".join(f"{name} {count}" for name, count in Counter(values[values != ""].tolist()).most_common(4)) or "none"
        return f"fewer than two values with {MIN_ROWS} films from {MIN_GROUPS} groups each (known: {known})"
    own = np.flatnonzero(np.isin(values, names))
    truth = np.array([names.index(value) for value in values[own]], dtype=np.int64)
    probabilities = out_of_fold(features[own], truth, groups[own].tolist(), names, _SETTINGS, normal_id=0)
    right = probabilities.argmax(axis=1) == truth
    figure = weighed(lambda weights: balanced(truth, right, weights, len(names)), groups[own].tolist(), resampling)
    return figure, {name: enough[name] for name in names}


def balanced(truth: Ints, right: npt.NDArray[np.bool_], weights: Floats, classes: int) -> Floats:
    """Balanced accuracy of each of R weightings (R, N): the mean over the classes of the share that is right."""
    shares = []
    for index in range(classes):
        own = weights[:, truth == index]
        total = own.sum(axis=1)
        hits = own @ right[truth == index].astype(np.float64)
        shares.append(np.divide(hits, total, out=np.full(len(weights), np.nan), where=total > 0))
    return np.asarray(np.mean(shares, axis=0))


def _markers(films: Films, audited: Audited) -> npt.NDArray[np.str_] | None:
    """Whether letters, arrows or side markers stand on each film, "" where it cannot be opened, as `hf-bones curate checks` measures it."""
    folder = audited.kept / "markers"
    known = {digest: float(values[0]) for digest, values in kept_by_hash(folder, set(films.hashes), "shares").items()}
    waiting = [row for row in range(len(films)) if films.hashes[row] not in known]
    for start in tqdm(range(0, len(waiting), CHUNK), desc="markers", unit="batch", disable=None):
        chunk = waiting[start : start + CHUNK]
        fresh = {films.hashes[row]: _marked_share(films, row) for row in chunk}
        keep_by_hash(folder, list(fresh), shares=list(fresh.values()))
        known |= fresh
    least = CheckSettings().max_marks
    shares: Any = np.array([known[digest] for digest in films.hashes])
    return np.where(np.isnan(shares), "", np.where(shares > least, *reversed(_MARKED)))


def _marked_share(films: Films, row: int) -> float:
    try:
        return drawn_share(shrunk(films.pixels(row), WORKING_SIDE))
    except (ImageRefusedError, OSError):
        return float("nan")


def _sentence(word: str, figure: Figure, values: int) -> str:
    chance = 1 / values
    told = f"The {word} can be read from the features with a balanced accuracy of {figure_words(figure, f'chance {chance:.2f}')}"
    if word == "markers":
        told = told.replace("The markers", "Whether a film bears markers")
    elif word in ("metal", "casts"):
        told = told.replace(f"The {word}", f"Whether {'metal' if word == 'metal' else 'a cast'} is on a film")
    value = figure.value or 0.0
    low = figure.interval[0] if figure.interval else value
    if low <= chance:
        return f"{told}: no better than chance." if figure.interval else f"{told}."
    if word == "source" and value >= (1 + chance) / 2:
        return f"{told}: figures across sources may measure the source."
    return f"{told}."
