"""Rows of several sources in one training set: how often each is drawn, and how frequent each class is in each source as drawn.

A source's look tells its films' class wherever classes are not equally frequent in all sources, and a network learns that before it learns
what a break is. The loss is told the frequencies (`loss.source_adjusted`), so that there is nothing left to be learnt of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.config.recipe import RecipeError
from hf_bones.labels import LabelScheme
from hf_bones.metrics.by_source import named_sources
from hf_bones.metrics.figures import Floats, Ints

SAID = 8  # sources that a line names
NOTHING = 1e-9  # share of a class that a source does not have
MOST = 8.0  # times as often as under uniform sampling: the most that a film is drawn


@dataclass(frozen=True, eq=False)
class SourceShares:
    """Of N training rows from S sources in C classes: what each row is drawn by (N,), summing to 1; the source of each row (N,), a place in
    `names`; rows of each class in each source (S, C), and their shares of all draws (S, C)."""

    names: tuple[str, ...]
    rows: Floats
    source_ids: Ints
    counts: Ints
    drawn: Floats

    @property
    def log_frequencies(self) -> Floats:
        """Log of the class frequencies within each source as drawn, (S, C); of a class that a source lacks, that of next to nothing.

        A film more of each class, as Laplace would have it, is too much: the films of a one-class source then still pull towards their
        class, and the look of the source is what gives way first.
        """
        return np.asarray(np.log(np.maximum(self.drawn / self.drawn.sum(axis=1, keepdims=True), NOTHING)))


def left_out(origins: Sequence[str], without: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows (N,) are of a source that a recipe leaves out (`without_sources`)."""
    return np.isin(named_sources(origins), list(without))


def source_shares(labels: Sequence[int], origins: Sequence[str], classes: int) -> SourceShares:
    """How rows are drawn: sources by the square root of their size, classes within a source by the square root of their frequency there.

    Between "each source as often" and "each film as often": a source of 20 films beside one of 2,000 gets about a tenth of the larger one's
    draws, not a hundredth and not as many. No film is drawn more than `MOST` times as often as under uniform sampling; what is over goes
    to the others in proportion.
    """
    classes_of = np.asarray(labels, dtype=np.int64)
    names, source_ids = np.unique(named_sources(origins), return_inverse=True)
    counts = np.zeros((len(names), classes), dtype=np.int64)
    np.add.at(counts, (source_ids, classes_of), 1)
    roots = np.sqrt(counts)
    cells = np.sqrt(counts.sum(axis=1, keepdims=True)) * roots / roots.sum(axis=1, keepdims=True)
    wanted = cells[source_ids, classes_of] / counts[source_ids, classes_of]
    rows = _at_most(wanted, MOST / len(wanted))
    drawn = np.zeros(counts.shape)
    np.add.at(drawn, (source_ids, classes_of), rows)
    return SourceShares(tuple(names.tolist()), rows, source_ids, counts, drawn)


def _at_most(wanted: Floats, most: float) -> Floats:
    """Shares that sum to 1 in proportion to `wanted` (N,), none of them over `most` (at least 1 / N)."""
    shares = wanted / wanted.sum()
    full = np.zeros(len(shares), dtype=bool)
    while (over := ~full & (shares > most * (1 + 1e-9))).any():
        full |= over
        left = max(0.0, 1 - most * full.sum())
        shares = np.where(full, most, wanted * left / max(wanted[~full].sum(), 1e-300))
    return shares / shares.sum()


def one_class_sources(names: Sequence[str], counts: Ints, normal_id: int) -> dict[str, bool]:
    """The sources whose films are all normal (True) or all abnormal (False), by name; `counts` are rows of each class in each (S, C)."""
    normal = counts[:, normal_id]
    return {name: bool(own) for name, own, total in zip(names, normal, counts.sum(axis=1), strict=True) if total and own in (0, total)}


def sources_line(shares: SourceShares, scheme: LabelScheme) -> str:
    """How the rows of a run are drawn, for its announcement."""
    of_draws = shares.drawn.sum(axis=1)
    order = np.argsort(-of_draws, kind="stable")[:SAID]
    said = [f"{shares.names[place]} {of_draws[place]:.0%} of the draws from {shares.counts[place].sum():,} films" for place in order]
    more = [f"{len(shares.names) - SAID} more"] if len(shares.names) > SAID else []
    one = one_class_sources(shares.names, shares.counts, scheme.normal_id)
    alone = [f"{name} ({f'{scheme.normal} alone' if normal else f'no {scheme.normal} film'})" for name, normal in one.items()]
    of_one = f"; of one class: {', '.join(alone[:SAID])}{f' and {len(alone) - SAID} more' if len(alone) > SAID else ''}" if alone else ""
    return ", ".join([*said, *more]) + of_one


def require_shared_sources(shares: SourceShares, scheme: LabelScheme) -> None:
    """Raises `RecipeError` where classes stand in no source together, directly or by way of other classes: then nothing but the look of
    the sources tells them apart."""
    there = shares.counts > 0
    joined = {0}
    while grown := {other for own in there if own[list(joined)].any() for other in np.flatnonzero(own).tolist()} - joined:
        joined |= grown
    apart = [scheme.names[place] for place in range(len(scheme.names)) if place not in joined]
    if apart:
        together = ", ".join(scheme.names[place] for place in sorted(joined))
        held = "; ".join(
            f"{name}: {', '.join(scheme.names[place] for place in np.flatnonzero(own))}"
            for name, own in zip(shares.names, there, strict=True)
        )
        raise RecipeError(
            f"sampling: source, but no source of `dataset` has films of {', '.join(apart)} beside films of {together} ({held}): what tells "
            "these classes apart cannot be told from what tells the sources apart. Add a source that has both, or set sampling to balanced"
        )
