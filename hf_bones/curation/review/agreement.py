"""How far two reviewers agree: Cohen's kappa with an interval, the table of their readings, and the images they differ on.

Kappa (Cohen 1960) is scikit-learn's; the interval is a percentile bootstrap over groups of images (copies, films of one patient), which
are read alike. Readings are taken from the log of decisions: of each reviewer, what stands. Whoever adjudicates has seen the readings of
others, so that an adjudication is none. Not here: who is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from hf_bones.curation.review.facets import DROP, KEEP, RELABEL
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import Decision, Manifest
from hf_bones.manifest.votes import adjudicates
from hf_bones.metrics.intervals import MIN_DEFINED_SHARE

AS_THEY_CAME = "labels as they came"  # stands for a reviewer: what each image was labelled when it came
_REPEATS = 2000  # of the bootstrap

Readings = Mapping[str, str]  # image → what it was read as


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two reviewers on the images that both read.

    `table[i, j]`: images that the first read as `categories[i]` and the second as `categories[j]`. `kappa` and its 95 % `interval` are NaN
    where they are not defined: no image, or only one category used by both. `differing`: (hash, first's reading, second's).
    """

    first: str
    second: str
    categories: tuple[str, ...]
    table: npt.NDArray[np.int64]
    kappa: float
    interval: tuple[float, float]
    differing: tuple[tuple[str, str, str], ...]

    @property
    def count(self) -> int:
        """Images that both read."""
        return int(self.table.sum())

    @property
    def agreed(self) -> int:
        return int(np.trace(self.table))


def label_readings(decisions: Iterable[Decision]) -> dict[str, dict[str, str]]:
    """Reviewer → image → the label that they last gave or confirmed, of what stands. `decisions` are oldest first."""
    read: dict[str, dict[str, str]] = defaultdict(dict)
    for decision in decisions:
        if decision.decision == RELABEL and not decision.undone and not adjudicates(decision):
            read[decision.decided_by][decision.sha256] = decision.label
    return dict(read)


def use_readings(decisions: Iterable[Decision]) -> dict[str, dict[str, str]]:
    """Reviewer → image → "drop" or "keep": the last that stands; who gave an image a label without dropping it would keep it."""
    read: dict[str, dict[str, str]] = defaultdict(dict)
    for decision in decisions:
        if decision.undone or decision.decision not in (DROP, KEEP, RELABEL) or adjudicates(decision):
            continue
        if decision.decision == RELABEL:
            read[decision.decided_by].setdefault(decision.sha256, KEEP)
        else:
            read[decision.decided_by][decision.sha256] = decision.decision
    return dict(read)


def agree(
    first: str,
    second: str,
    readings: Mapping[str, Readings],
    *,
    categories: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
) -> Agreement:
    """Compares two of `readings`. `categories` fixes the order of those it names; `groups`: image → what it is resampled with.

    Raises ValueError for a reviewer without readings, naming those who have some.
    """
    from sklearn.metrics import cohen_kappa_score  # a second to import, and the review page should open at once

    for name in (first, second):
        if name not in readings:
            raise ValueError(f"{name!r} has read no image; readings are there of: {', '.join(sorted(readings)) or 'nobody'}")
    ours, theirs = readings[first], readings[second]
    both = sorted(ours.keys() & theirs.keys())
    used = {ours[sha] for sha in both} | {theirs[sha] for sha in both}
    names = tuple([name for name in categories if name in used] + sorted(used - set(categories)))
    place = {name: index for index, name in enumerate(names)}
    cells = np.array([place[ours[sha]] * len(names) + place[theirs[sha]] for sha in both], dtype=np.int64)
    size = len(names) ** 2
    table = np.bincount(cells, minlength=size).reshape(len(names), len(names))
    kappa, interval = nan, (nan, nan)
    if len(names) > 1:
        kappa = float(cohen_kappa_score([ours[sha] for sha in both], [theirs[sha] for sha in both]))
        interval = _interval(cells, [(groups or {}).get(sha) or sha for sha in both], len(names))
    differing = tuple((sha, ours[sha], theirs[sha]) for sha in both if ours[sha] != theirs[sha])
    return Agreement(first, second, names, table, kappa, interval, differing)


def _interval(cells: npt.NDArray[np.int64], groups: Sequence[str], kinds: int) -> tuple[float, float]:
    """2.5 and 97.5 percentiles of kappa over resampled groups; (NaN, NaN) for one group, and where a rare reading is seldom drawn."""
    _, member = np.unique(np.array(groups), return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        return nan, nan
    by_group = np.zeros((count, kinds * kinds))
    np.add.at(by_group, (member, cells), 1)
    times = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_REPEATS)
    kappas = kappas_of((times @ by_group).reshape(_REPEATS, kinds, kinds))
    defined = kappas[~np.isnan(kappas)]
    if len(defined) < MIN_DEFINED_SHARE * _REPEATS:
        return nan, nan
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def kappas_of(tables: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cohen's kappa of each table (N, K, K); NaN where chance alone would agree on everything."""
    total = tables.sum(axis=(1, 2))
    observed = np.trace(tables, axis1=1, axis2=2) / total
    expected = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def readings_of(manifest: Manifest, *, use: bool = False) -> dict[str, dict[str, str]]:
    """Everybody's readings of a manifest: labels (with `AS_THEY_CAME` among them), or with `use` what to keep and what to drop."""
    decisions = list(manifest.decisions())
    if use:
        return use_readings(decisions)
    came = {row["sha256"]: row["label"] for row in manifest.rows("SELECT sha256, label FROM images WHERE label != ''")}
    return {**label_readings(decisions), AS_THEY_CAME: came}


def reviewers(readings: Mapping[str, Readings]) -> list[str]:
    """Who has read something, the busiest first; the labels as they came are nobody's."""
    counts = Counter({name: len(read) for name, read in readings.items() if name != AS_THEY_CAME})
    return [name for name, _ in counts.most_common()]


def group_of_images(manifest: Manifest) -> dict[str, str]:
    """Image → its group (copies before patients), for those that have one."""
    rows = manifest.rows('SELECT sha256, copy_group, "group" FROM images')
    return {sha: f"c:{copies}" if copies else f"g:{group}" for sha, copies, group in rows if copies or group}


def choose_pair(readings: Mapping[str, Readings], first: str | None = None, second: str | None = None) -> tuple[str, str] | None:
    """Whom to compare: who was named, else the busiest; the labels as they came where there is one reviewer only. None: nobody has read."""
    names = [*reviewers(readings), *([AS_THEY_CAME] if AS_THEY_CAME in readings else [])]
    if not reviewers(readings) or len(names) < 2:
        return None
    ours = first or next(name for name in names if name != second)
    return ours, second or next(name for name in names if name != ours)


def agreement_text(found: Agreement) -> str:
    """The figures and the table, for a terminal."""
    lines = [f"{found.first} and {found.second}: {found.count} images read by both, {found.agreed} alike"]
    if found.count:
        low, high = found.interval
        span = "" if np.isnan(low) else f" (95 % interval {low:.2f} to {high:.2f})"
        lines.append(
            f"Cohen's kappa {found.kappa:.2f}{span}" if not np.isnan(found.kappa) else "Cohen's kappa is not defined: one category"
        )
        width = max(len(name) for name in (*found.categories, found.first)) + 2
        lines.append("".join(f"{name:>{width}}" for name in ("", *found.categories)) + f"   ({found.second})")
        for name, row in zip(found.categories, found.table, strict=True):
            lines.append(f"{name:>{width}}" + "".join(f"{cell:>{width}}" for cell in row))
        lines += [f"  {sha[:12]}  {ours} / {theirs}" for sha, ours, theirs in found.differing]
    return "\n".join(lines)


def agreement_of_place(manifest: Manifest, first: str | None, second: str | None, *, use: bool = False) -> Agreement:
    """How far two reviewers of a manifest agree. Raises ValueError where nobody has read, or a name has no readings."""
    readings = readings_of(manifest, use=use)
    pair = choose_pair(readings, first, second)
    if pair is None:
        raise ValueError(f"{manifest.folder}: nobody has read these images yet; read them with: hf-bones review {manifest.folder}")
    return agree(*pair, readings, categories=THREE_CLASS.names, groups=group_of_images(manifest))
