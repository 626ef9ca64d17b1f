"""From descriptions to pairs that may be near-duplicates, in time that grows little faster than the number of images.

Descriptions (`canonical.py`) are whitened, so that what all radiographs of a hand share weighs no more than what tells two of them
apart, and their signs are taken as a code of 128 bits (Gong and Lazebnik, "Iterative Quantization", CVPR 2011, without the iteration).
An inverted picture has the opposite code; each code is turned so that it points the way most do. Every picture is entered as it is and
under the seven other symmetries of a square, so that what is asked need not be turned. Codes that lie near each other are found by
locality-sensitive hashing (Indyk and Motwani, STOC 1998): tables keyed by some of the bits, as many as keep a table's cells about as full
whatever the number of images.

Not here: whether a pair really is one picture (`registration.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf_bones.curation.duplicates.canonical import FREQUENCIES, SYMMETRIES, symmetric
from hf_bones.curation.in_order import in_order

BITS = 128
KEY_BITS = 64  # of the most telling directions, from which the tables' keys are drawn
_PRIOR_WEIGHT = 200  # images: a small collection says little about what radiographs have in common
_DOUBTFUL = 0.1  # cosine with the way most descriptions point, below which an inverted picture might point the same way

Query = Callable[[], "CodeTable"]
_Cells = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]  # of a table: entries in the order of their keys, where each key's begin
Codes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Projection:
    """How descriptions become codes: `matrix` (143, 128) whitens, the most telling direction first; `axis` (128,) is where most point."""

    matrix: npt.NDArray[np.float32]
    axis: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CodeTable:
    """Codes with whose they are: `codes` (N, 2) uint64, `owner` (N,) image numbers, `form` (N,) which of the image's forms, and `way` (N,)
    how that form was changed: by which probe, in what is asked; under which symmetry, in what is looked up. `part` (N,) says that the form
    is only a part of its image: two parts are not compared, since a letter or a ruler is in many films.
    """

    codes: Codes
    owner: npt.NDArray[np.int32]
    form: npt.NDArray[np.int16]
    way: npt.NDArray[np.int16]
    part: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs worth a closer look, each once: form `first_form` of image `first`, as its `probe`, looks like form `second_form` of image
    `second` under `symmetry`; `distance` is the Hamming distance of their codes. `skipped` counts lookups of cells too full to be read."""

    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    first_form: npt.NDArray[np.int16]
    probe: npt.NDArray[np.int16]
    second_form: npt.NDArray[np.int16]
    symmetry: npt.NDArray[np.int16]
    distance: npt.NDArray[np.int16]
    skipped: int

    def __len__(self) -> int:
        return len(self.first)


def fit_projection(descriptions: npt.NDArray[np.floating]) -> Projection:
    """The projection for a collection from the (N, 143) descriptions of its images (or of a sample of some thousands)."""
    vectors = descriptions.astype(np.float64)
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 0.5]  # a blank picture has none
    across, down = np.meshgrid(np.arange(FREQUENCIES), np.arange(FREQUENCIES))
    prior = 1.0 / (across**2 + down**2 + 1e-9).ravel()[1:]
    spread = np.diag(prior / prior.sum()) * _PRIOR_WEIGHT + vectors.T @ vectors
    values, directions = np.linalg.eigh(spread / (_PRIOR_WEIGHT + len(vectors)))
    order = np.argsort(values)[::-1][:BITS]
    matrix = directions[:, order] / np.sqrt(values[order])
    axis = (vectors @ matrix).mean(axis=0) if len(vectors) else matrix[0]
    return Projection(matrix.astype(np.float32), (axis / max(float(np.linalg.norm(axis)), 1e-9)).astype(np.float32))


def code(projection: Projection, descriptions: npt.NDArray[np.floating]) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """(N, 2) codes of (N, 143) descriptions, and which of them might point either way."""
    whitened = descriptions.astype(np.float32) @ projection.matrix
    along = whitened @ projection.axis
    whitened[along < 0] *= -1
    doubtful = np.abs(along) < _DOUBTFUL * np.linalg.norm(whitened, axis=1)
    packed = np.packbits(whitened > 0, axis=1, bitorder="little").view(np.uint64)
    return packed, doubtful


def index_codes(
    projection: Projection,
    descriptions: npt.NDArray[np.floating],
    owner: npt.NDArray[np.integer],
    form: npt.NDArray[np.integer],
    part: npt.NDArray[np.bool_],
) -> CodeTable:
    """What is looked up: (N, 143) descriptions of forms of images, each under all symmetries; a `part` only as it is."""
    seen = np.linalg.norm(descriptions.astype(np.float32), axis=1) > 0.5
    tables = []
    for symmetry in range(SYMMETRIES):
        chosen = np.flatnonzero(seen & ~part if symmetry else seen)
        codes, doubtful = code(projection, symmetric(descriptions[chosen].astype(np.float32), symmetry))
        both = np.concatenate([chosen, chosen[doubtful]])
        way = np.full(len(both), symmetry, np.int16)
        columns = owner[both].astype(np.int32), form[both].astype(np.int16), way, part[both]
        tables.append((np.concatenate([codes, ~codes[doubtful]]), *columns))
    found = CodeTable(*(np.concatenate(column) for column in zip(*tables, strict=True)))
    return replace(found, codes=np.asfortranarray(found.codes))  # halves of codes are read one at a time


def probe_codes(
    projection: Projection,
    descriptions: npt.NDArray[np.floating],
    owner: npt.NDArray[np.integer],
    form: npt.NDArray[np.integer],
    probe: npt.NDArray[np.integer],
    part: npt.NDArray[np.bool_],
) -> CodeTable:
    """What is asked: (N, 143) descriptions of probes of images' forms."""
    seen = np.linalg.norm(descriptions.astype(np.float32), axis=1) > 0.5
    codes, _ = code(projection, descriptions[seen])
    return CodeTable(codes, owner[seen].astype(np.int32), form[seen].astype(np.int16), probe[seen].astype(np.int16), part[seen])


def find_candidates(
    entries: CodeTable,
    queries: Iterable[Query],
    *,
    radius: int,
    tables: int,
    fullest: int,
    workers: int = 2,
) -> Candidates:
    """Pairs of different images of which a query's code lies within `radius` bits of an entry's.

    `queries` make the codes that are asked, in parts that fit into memory. Each of `tables` tables is keyed by some of the first 64
    bits, as many as there are doublings of the entries. Cells with more than `fullest` entries are passed over and counted.
    """
    bits = max(6, min(24, int(np.ceil(np.log2(max(len(entries.codes), 2))))))
    random = np.random.default_rng(0)
    chosen = [np.sort(random.choice(KEY_BITS, bits, replace=False)) for _ in range(tables)]
    cells: list[_Cells] = []
    for places in chosen:
        keys = _keys(entries.codes[:, 0], places)
        order = np.argsort(keys, kind="stable").astype(np.int32)
        cells.append((order, np.cumsum(np.bincount(keys + 1, minlength=2**bits + 1), dtype=np.int32)))

    def look_up(query: Query) -> tuple[tuple[npt.NDArray[np.int64], ...], int]:
        asked, skipped = query(), 0
        found = [np.zeros(0, np.int64)]
        for places, (order, starts) in zip(chosen, cells, strict=True):
            keys = _keys(asked.codes[:, 0], places)
            lengths = starts[keys + 1] - starts[keys]
            full = lengths > fullest
            skipped += int(full.sum())
            for chunk in _chunks(np.flatnonzero((lengths > 0) & ~full), lengths):
                found.append(_near(entries, asked, order, starts[keys[chunk]], lengths[chunk], chunk, radius))
        return _best(entries, asked, np.unique(np.concatenate(found))), skipped

    with ThreadPoolExecutor(workers) as pool:
        answers = list(in_order(pool, look_up, queries, workers))  # few queries at a time: each holds its probes in memory
    return _merge([columns for columns, _ in answers], sum(skipped for _, skipped in answers))


def _keys(codes: npt.NDArray[np.uint64], places: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    keys = np.zeros(len(codes), np.int64)
    for place, bit in enumerate(places):
        keys |= ((codes >> np.uint64(bit)) & np.uint64(1)).astype(np.int64) << place
    return keys


_AT_ONCE = 4_000_000  # comparisons


def _chunks(asked: npt.NDArray[np.int64], lengths: npt.NDArray[np.integer]) -> Iterator[npt.NDArray[np.int64]]:
    """The queries in parts that make about as many comparisons each."""
    total = np.cumsum(lengths[asked], dtype=np.int64)
    if len(total):
        yield from np.split(asked, np.searchsorted(total, np.arange(_AT_ONCE, int(total[-1]), _AT_ONCE)))


def _near(
    entries: CodeTable,
    asked: CodeTable,
    order: npt.NDArray[np.int32],
    starts: npt.NDArray[np.integer],
    lengths: npt.NDArray[np.integer],
    queries: npt.NDArray[np.int64],
    radius: int,
) -> npt.NDArray[np.int64]:
    """(query · 2³² + entry) for each query and each entry of its cell that lies within `radius` of it and is another image's."""
    if not len(queries):
        return np.zeros(0, np.int64)
    ends = np.cumsum(lengths, dtype=np.int32)
    place = np.arange(ends[-1], dtype=np.int32)
    place += np.repeat(starts - (ends - lengths), lengths)
    entry = order[place]
    # The first half of a code alone rules nearly all of them out; which query each of the rest belongs to is found afterwards.
    half = np.bitwise_count(entries.codes[entry, 0] ^ np.repeat(asked.codes[queries, 0], lengths))
    near = np.flatnonzero(half <= radius)
    entry, query = entry[near], queries[np.searchsorted(ends, near, side="right")]
    distance = half[near] + np.bitwise_count(entries.codes[entry, 1] ^ asked.codes[query, 1])
    good = (distance <= radius) & (entries.owner[entry] != asked.owner[query]) & ~(entries.part[entry] & asked.part[query])
    packed: npt.NDArray[np.int64] = (query[good].astype(np.int64) << 32) | entry[good]
    return packed


def _best(entries: CodeTable, asked: CodeTable, packed: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """The columns of `Candidates` for the nearest lookup of each pair of images."""
    query, entry = packed >> 32, packed & 0xFFFFFFFF
    distance = np.bitwise_count(entries.codes[entry] ^ asked.codes[query]).sum(axis=1, dtype=np.int64)
    owners, forms = (asked.owner[query], entries.owner[entry]), (asked.form[query], entries.form[entry])
    columns = (*owners, forms[0], asked.way[query], forms[1], entries.way[entry], distance)
    return _nearest(tuple(column.astype(np.int64) for column in columns))


def _nearest(columns: tuple[npt.NDArray[np.int64], ...]) -> tuple[npt.NDArray[np.int64], ...]:
    first, second, distance = columns[0], columns[1], columns[-1]
    pair = (np.minimum(first, second) << 32) | np.maximum(first, second)
    order = np.lexsort((distance, pair))
    chosen = order[np.concatenate([[True], np.diff(pair[order]) != 0])] if len(order) else order
    return tuple(column[chosen] for column in columns)


def _merge(kept: list[tuple[npt.NDArray[np.int64], ...]], skipped: int) -> Candidates:
    if not kept:
        nothing = np.zeros(0, np.int64)
        kept = [(nothing,) * 7]
    first, second, *others = _nearest(tuple(np.concatenate(column) for column in zip(*kept, strict=True)))
    first_form, probe, second_form, symmetry, distance = (column.astype(np.int16) for column in others)
    return Candidates(first.astype(np.int32), second.astype(np.int32), first_form, probe, second_form, symmetry, distance, skipped)
