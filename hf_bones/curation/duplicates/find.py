"""Which images are one picture: candidates from the index, confirmed on registered pixels, joined into groups.

Every step passes on fewer pairs than it was given and costs more for each: codes within a radius, correlation of sketches, the likeliest
few of each image, alignment at 32, 64 and 128 px, fine detail. Only confirmed pairs are joined: hashes alone chain hundreds of
different films of hands into one group.

Not here: what becomes of the groups (`decide.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from hf_bones.curation.duplicates import hash_index
from hf_bones.curation.duplicates.candidate_pictures import CandidatePictures
from hf_bones.curation.duplicates.canonical import PROBES, mirror_and_quarters
from hf_bones.curation.duplicates.fingerprints import FingerprintStore, FingerprintTable
from hf_bones.curation.duplicates.hash_index import Candidates, CodeTable
from hf_bones.curation.duplicates.registration import Registrations
from hf_bones.curation.recipe import DedupSettings

Embed = Callable[[Sequence[str]], npt.NDArray[np.floating]]

_FITTED_ON = 20_000  # images: the projection of a larger collection is fitted to so many of them
_BIT_COST = 0.01  # what a bit of difference weighs beside the correlation of sketches
_CLOSER = 5.0  # how much more of a spoilt pair must agree all but exactly for each unit of stretch


@dataclass(frozen=True)
class PairLink:
    """A confirmed pair: hashes of the two images, what was done to one ("mirrored, cropped"), and their correlation in [0, 1]."""

    first: str
    second: str
    change: str
    score: float


@dataclass(frozen=True)
class PairSearch:
    """What a search found: `links`, and how many pairs each step passed on; `skipped` counts lookups of cells that were too full."""

    links: tuple[PairLink, ...]
    candidates: int
    registered: int
    skipped: int


def find_links(
    table: FingerprintTable,
    store: FingerprintStore,
    settings: DedupSettings,
    *,
    embed: Embed | None = None,
    workers: int = 2,
    progress: bool = True,
) -> PairSearch:
    """The pairs of images in `table` that are one picture. `store` holds their probes and thumbs.

    `embed` gives (N, F) embeddings of images by their hashes; with it a pair that is not sure needs their likeness too.
    """
    if len(table) < 2:
        return PairSearch((), 0, 0, 0)
    with threadpool_limits(1):  # threads of the linear algebra library beside ours would only get in each other's way
        return _search(table, store, settings, embed, workers, progress)


def _search(
    table: FingerprintTable, store: FingerprintStore, settings: DedupSettings, embed: Embed | None, workers: int, progress: bool
) -> PairSearch:
    found = candidates(table, store, settings, workers=workers, progress=progress)
    pairs = CandidatePictures(table, store, found, workers, progress)
    chosen, signs = _likeliest(pairs, settings)
    transforms = pairs.start(chosen)
    registered, reached = len(chosen), np.zeros(len(chosen), np.float32)
    for level, least in enumerate((settings.least_coarse, settings.least_middle, min(settings.doubtful, settings.spoilt))):
        transforms, reached = pairs.align(chosen, transforms, signs, level)
        passed = reached >= least
        chosen, transforms, signs, reached = chosen[passed], transforms[passed], signs[passed], reached[passed]
    judged = pairs.judge(chosen, transforms, signs, reached)
    good = _plausible(judged, settings)
    sure = judged.coarse >= settings.sure
    if embed is not None:
        good &= sure | (_cosines(embed, table, found, chosen) >= settings.least_embedding)
    ends = [(table.hashes[first], table.hashes[second]) for first, second in zip(found.first[chosen], found.second[chosen], strict=True)]
    links = [
        PairLink(*ends[place], change(judged, place, int(found.symmetry[pair])), float(judged.coarse[place]))
        for place, pair in enumerate(chosen)
        if good[place]
    ]
    return PairSearch(tuple(links), len(found), registered, found.skipped)


def candidates(
    table: FingerprintTable, store: FingerprintStore, settings: DedupSettings, *, workers: int = 2, progress: bool = True
) -> Candidates:
    """The pairs whose codes lie within the radius."""
    step = max(1, len(table) // _FITTED_ON)
    projection = hash_index.fit_projection(table.descriptions[table.first_form[::step]])
    form = np.arange(len(table.owner)) - table.first_form[table.owner]
    part = form > table.framed[table.owner]  # neither whole nor without a frame
    entries = hash_index.index_codes(projection, table.descriptions, table.owner, form, part)
    ends = np.append(table.first_form, len(table.owner))

    def codes(start: int, probes: npt.NDArray[np.float16]) -> CodeTable:
        stop = start + len(probes)
        others = np.arange(ends[start], ends[stop])
        others = others[form[others] > 0]
        count = len(probes) * PROBES
        return hash_index.probe_codes(
            projection,
            np.concatenate([probes.reshape(count, probes.shape[2]), table.descriptions[others]]),
            np.concatenate([np.repeat(np.arange(start, stop), PROBES), table.owner[others]]),
            np.concatenate([np.zeros(count, np.int64), form[others]]),
            np.concatenate([np.tile(np.arange(PROBES), len(probes)), np.zeros(len(others), np.int64)]),
            np.concatenate([np.zeros(count, np.bool_), part[others]]),
        )

    def queries() -> Iterator[hash_index.Query]:
        with tqdm(total=len(table), desc="looking up codes", unit="img", disable=None if progress else True) as bar:
            for start, probes in store.probes(table.hashes):
                yield partial(codes, start, probes)
                bar.update(len(probes))

    return hash_index.find_candidates(
        entries, queries(), radius=settings.radius, tables=settings.tables, fullest=settings.fullest, workers=workers
    )


def groups(links: Sequence[PairLink]) -> list[list[str]]:
    """The hashes of images that links join, however long the chain; each of two or more, in order."""
    if not links:
        return []
    hashes, numbers = np.unique([(link.first, link.second) for link in links], return_inverse=True)
    joined = coo_array((np.ones(len(links), np.int8), numbers.reshape(-1, 2).T), shape=(len(hashes), len(hashes)))
    _, label = connected_components(joined, directed=False)
    order = np.argsort(label, kind="stable")
    return [part.tolist() for part in np.split(hashes[order], np.flatnonzero(np.diff(label[order])) + 1)]


def change(judged: Registrations, place: int, symmetry: int) -> str:
    """What was done to one picture of a pair to get the other, in words."""
    mirrored, quarters = mirror_and_quarters(symmetry)
    turn = abs(90 * quarters + judged.turn[place])
    words = ["mirrored"] * mirrored + ["inverted"] * bool(judged.inverted[place])
    if turn > 1.5:
        words.append(f"turned {min(turn, 360 - turn):.0f}°")
    if min(judged.overlap[place], judged.covered[place]) < 0.97:
        words.append("cropped")
    if judged.agreement[place] < 0.95:
        words.append("changed in places")
    return ", ".join(words) or "the same view"


def _likeliest(pairs: CandidatePictures, settings: DedupSettings) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The candidates that are worth registering, by number, and whether one of the two is inverted, as a sign."""
    found = pairs.found
    every = np.arange(len(found))
    correlations = pairs.sketch_correlations(every)
    score = np.abs(correlations) - _BIT_COST * found.distance
    worth = every[score >= settings.least_start]
    kept = np.zeros(len(found), np.bool_)
    order = worth[np.argsort(-score[worth], kind="stable")]
    for owner in (found.first, found.second):
        # A pair counts among the nearest of both of its images: rank it in the list of each.
        kept[order[_rank_within(owner[order]) < settings.nearest]] = True
    chosen = np.flatnonzero(kept)
    return chosen, np.where(correlations[chosen] < 0, -1, 1).astype(np.float32)


def _rank_within(owners: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """How many earlier entries each entry's owner has."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1]).astype(np.intp)
    lengths = np.diff(np.concatenate([starts, [len(ordered)]]))
    ranks = np.empty(len(owners), np.intp)
    ranks[order] = np.arange(len(owners)) - np.repeat(starts, lengths)
    return ranks


def _plausible(judged: Registrations, settings: DedupSettings) -> npt.NDArray[np.bool_]:
    rigid = judged.stretch <= settings.rigid
    doubtful = (judged.coarse >= settings.doubtful) & (judged.likeness >= settings.least_likeness) & rigid
    close = judged.closeness >= settings.least_closeness + _CLOSER * (judged.stretch - 1)
    agrees = judged.agreement >= settings.least_agreement
    # A watermark lies over much of a picture that is otherwise unmoved; one turned and cropped is stretched, and agrees nearly everywhere.
    unmoved = (judged.stretch <= settings.unmoved) & (judged.agreement >= settings.unmoved_agreement)
    stretched = judged.agreement >= settings.stretched_agreement
    spoilt = (judged.coarse >= settings.spoilt) & close & ((rigid & agrees) | unmoved | stretched)
    plausible: npt.NDArray[np.bool_] = (
        (((judged.coarse >= settings.sure) | doubtful) & agrees | spoilt)
        & (judged.textured >= settings.least_textured)
        & (np.minimum(judged.overlap, judged.covered) >= settings.least_overlap)
        & (np.abs(judged.turn) <= settings.most_turn)
        & (judged.stretch <= settings.most_stretch)
    )
    return plausible


def _cosines(embed: Embed, table: FingerprintTable, found: Candidates, chosen: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(N,) cosines of the embeddings of the chosen pairs' images."""
    first, second = found.first[chosen], found.second[chosen]
    wanted = np.unique(np.concatenate([first, second]))
    if not len(wanted):
        return np.zeros(0)
    vectors = np.asarray(embed([table.hashes[number] for number in wanted]), np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    place = partial(np.searchsorted, wanted)
    cosines: npt.NDArray[np.float64] = np.einsum("nf,nf->n", vectors[place(first)], vectors[place(second)])
    return cosines
