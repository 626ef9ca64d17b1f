"""The index behind the review of a manifest: filters with counts, words and orders, over an index in memory.

The counts beside a facet's values are those of the images that the *other* facets leave, as in any shop. `refresh` notices what other
processes wrote; what this process decides is followed with `reread`. Good for tens of thousands of images: a filter is a few boolean
operations on arrays. One thread at a time.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hf_bones.collect.upkeep.status import label_conflicts
from hf_bones.curation.review.facets import BLIND_FACETS, FACETS, MINE, READ, UNREAD, Check, Entry, Facet, NeighbourLink, Opinion
from hf_bones.manifest.foreign import shares_of
from hf_bones.manifest.store import Decision, Manifest

# Orders beside "check:REASON", which brings the most extreme values of a check first.
BY_HASH, BY_ARRIVAL, BY_SUSPICION, BY_COPIES, BY_DECISION = "hash", "arrival", "suspicion", "copies", "decided"
ORDERS = (BY_HASH, BY_ARRIVAL, BY_SUSPICION, BY_COPIES, BY_DECISION)
CHECK_ORDER = "check:"
# Where another process writes all the time, reading anew takes at most this share of it.
_RELOAD_SHARE = 0.1
_SHORTEST_HASH = 6  # digits of a hash that are looked for at its beginning; fewer would fit too many by chance

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReviewQuery:
    """What is looked for. `chosen`: facet → values, any of which an image must have; a facet without values lets all through.

    `words` must all stand in an image's title, query, page, creator, source or region, or begin its hash. `reviewer` is who asks (for the
    facet `mine`). `blind` leaves out whatever would tell the label: other facets than `BLIND_FACETS`, titles and queries, orders that lead.
    """

    chosen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    words: str = ""
    order: str = BY_HASH
    reviewer: str = ""
    blind: bool = False


@dataclass(frozen=True, eq=False)
class Matches:
    """`places` in `ReviewIndex.entries`, in order; `counts` of each value of each facet, given the other filters."""

    places: npt.NDArray[np.int64]
    counts: dict[str, dict[str, int]]


class ReviewIndex:
    """The index. `entries` are in the order in which the images came."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.entries: list[Entry] = []
        self.load()

    def refresh(self) -> bool:
        """Reads everything anew where another process has written since; True if it did."""
        if self._data_version() == self._version or time.monotonic() < self._next_load:
            return False
        self.load()
        return True

    def entry(self, sha256: str) -> Entry | None:
        """One image by its whole hash, None for an unknown one."""
        place = self._places.get(sha256)
        return None if place is None else self.entries[place]

    def reread(self, sha256: str) -> Entry | None:
        """Follows a decision about an image that this process has just made. None where the image is gone."""
        entry, record = self.entry(sha256), self.manifest.image(sha256)
        if entry is None or record is None:
            return None
        entry.record = record
        entry.decisions = tuple(self.manifest.decisions("d.sha256 = ?", (sha256,)))
        for other in {sha256, *entry.copies}:
            self._compare_near_duplicates(self.entries[self._places[other]])
            self._follow(self._places[other])
        return entry

    def find(self, query: ReviewQuery) -> Matches:
        """The images that fit, in order, and the counts. Raises ValueError for an unknown facet or order."""
        facets = {facet.name: facet for facet in FACETS if not query.blind or facet.name in BLIND_FACETS}
        unknown = set(query.chosen) - facets.keys() - {MINE}
        if unknown:
            raise ValueError(f"no facet {sorted(unknown)[0]!r}; there are: {', '.join([MINE, *facets])}")
        tables = {name: self._table(facet) for name, facet in facets.items()}
        if query.reviewer:
            tables[MINE] = self._own(query.reviewer)
        masks = {name: _any_of(tables[name], query.chosen.get(name, frozenset())) for name in tables}
        masks["words"] = self._with_words(query.words, query.blind)
        within = np.sum([~mask for mask in masks.values()], axis=0)  # how many filters keep an image out
        counts = {
            name: {value: int((has & (within == ~masks[name])).sum()) for value, has in table.items()} for name, table in tables.items()
        }
        order = self._order(BY_HASH if query.blind and query.order not in (BY_HASH, BY_ARRIVAL) else query.order)
        return Matches(order[(within == 0)[order]], counts)

    def check_reasons(self) -> list[str]:
        """Every check that measured something, by name."""
        return sorted({check.reason for entry in self.entries for check in entry.checks if check.value is not None})

    def load(self) -> None:
        """Reads everything anew."""
        start = time.monotonic()
        self._version = self._data_version()
        rows = self.manifest.rows
        checks: dict[str, list[Check]] = defaultdict(list)
        for sha, reason, value, threshold, flagged, detail in rows("SELECT sha256, reason, value, threshold, flagged, detail FROM checks"):
            checks[sha].append(Check(reason, value, threshold, bool(flagged), detail))
        links: dict[str, list[NeighbourLink]] = defaultdict(list)
        for first, second, change, score in rows("SELECT first, second, change, score FROM links ORDER BY score DESC"):
            links[first].append(NeighbourLink(second, change, score))
            links[second].append(NeighbourLink(first, change, score))
        opinions: dict[str, Opinion] = {}
        for sha, model, label, shares, suspicion in rows(
            # The last that says how suspect the label is, else the last.
            "SELECT sha256, model, label, probabilities, suspicion FROM opinions ORDER BY suspicion IS NOT NULL, given_at"
        ):
            opinions[sha] = Opinion(model, label, shares_of(shares), suspicion)
        decisions: dict[str, list[Decision]] = defaultdict(list)
        for decision in self.manifest.decisions():
            decisions[decision.sha256].append(decision)
        self.entries = [
            Entry(record, tuple(checks[record.sha256]), tuple(links[record.sha256]), (), opinions.get(record.sha256))
            for record in self.manifest.images()
        ]
        self._places = {entry.record.sha256: place for place, entry in enumerate(self.entries)}
        groups: dict[str, list[str]] = defaultdict(list)
        for entry in self.entries:
            if entry.record.copy_group:
                groups[entry.record.copy_group].append(entry.record.sha256)
        conflicts = label_conflicts(self.manifest)
        for entry in self.entries:
            own = entry.record.sha256
            entry.came_as = tuple(conflicts.get(own, ()))
            entry.decisions = tuple(decisions[own])
            known = (*(link.other for link in entry.links), *groups.get(entry.record.copy_group, ()))
            entry.copies = tuple(dict.fromkeys(other for other in known if other != own and other in self._places))
        for entry in self.entries:
            self._compare_near_duplicates(entry)
        self._rank = np.argsort(np.argsort(np.array([entry.record.sha256 for entry in self.entries], dtype=str)))
        self._words: dict[bool, list[str]] = {}
        self._of_facet: dict[str, dict[str, Bools]] = {}
        self._read_by: dict[str, Bools] = {}
        self._next_load = time.monotonic() + (time.monotonic() - start) / _RELOAD_SHARE

    def _data_version(self) -> int:
        """SQLite's counter of what *other* connections committed."""
        return int(self.manifest.connection.execute("PRAGMA data_version").fetchone()[0])

    def _compare_near_duplicates(self, entry: Entry) -> None:
        """Dropping one of two copies settles what stood between them, so dropped images do not count."""
        others = [self.entries[self._places[sha]] for sha in entry.copies]
        used = [other.record for other in (entry, *others) if not other.dropped]
        entry.contradictory = not entry.dropped and len({record.final_label for record in used} - {""}) > 1
        entry.torn = not entry.dropped and len({record.split for record in used} - {"", "unused"}) > 1

    def _table(self, facet: Facet) -> dict[str, Bools]:
        """Value → which images have it, in the order in which values are shown."""
        if facet.name not in self._of_facet:
            has: dict[str, list[int]] = defaultdict(list)
            for place, entry in enumerate(self.entries):
                for value in facet.values(entry):
                    has[value].append(place)
            common = [value for value, _ in Counter({value: len(places) for value, places in has.items()}).most_common()]
            shown = [value for value in facet.order if value in has] + [value for value in common if value not in facet.order]
            if "" in shown:  # what says nothing stands last
                shown = [value for value in shown if value] + [""]
            self._of_facet[facet.name] = {value: _members(has[value], len(self.entries)) for value in shown}
        return self._of_facet[facet.name]

    def _own(self, reviewer: str) -> dict[str, Bools]:
        if reviewer not in self._read_by:
            places = [place for place, entry in enumerate(self.entries) if entry.standing(reviewer)]
            self._read_by[reviewer] = _members(places, len(self.entries))
        read = self._read_by[reviewer]
        return {UNREAD: ~read, READ: read}

    def _follow(self, place: int) -> None:
        """Puts one image where its values now are; a value that is new has its facet read anew."""
        for facet in FACETS:
            table, values = self._of_facet.get(facet.name, {}), facet.values(self.entries[place])
            for value, has in table.items():
                has[place] = value in values
            if not table.keys() >= set(values):
                self._of_facet.pop(facet.name, None)
        for reviewer, read in self._read_by.items():
            read[place] = bool(self.entries[place].standing(reviewer))

    def _with_words(self, words: str, blind: bool) -> Bools:
        wanted = words.casefold().split()
        if not wanted:
            return np.ones(len(self.entries), dtype=bool)
        if blind not in self._words:
            open_fields = ("provider", "region", "view")
            fields = open_fields if blind else (*open_fields, "title", "query", "page", "url", "creator")
            self._words[blind] = ["\n".join(getattr(e.record, name) for name in fields).casefold() for e in self.entries]

        def stands(word: str, entry: Entry, text: str) -> bool:
            return word in text or (len(word) >= _SHORTEST_HASH and entry.record.sha256.startswith(word))

        texts = zip(self.entries, self._words[blind], strict=True)
        return np.array([all(stands(word, entry, text) for word in wanted) for entry, text in texts], dtype=bool)

    def _order(self, order: str) -> npt.NDArray[np.int64]:
        """All places in that order; what has no value for it stands last, and equals go by hash."""
        if order == BY_ARRIVAL:
            return np.arange(len(self.entries))
        if order == BY_HASH:
            keys = np.zeros(len(self.entries))
        elif order == BY_SUSPICION:
            keys = _numbers(-e.opinion.suspicion if e.opinion and e.opinion.suspicion is not None else None for e in self.entries)
        elif order == BY_COPIES:
            keys = _numbers(min(self._places[sha] for sha in (e.record.sha256, *e.copies)) if e.copies else None for e in self.entries)
        elif order == BY_DECISION:
            keys = _numbers(-e.decisions[-1].id if e.decisions else None for e in self.entries)
        elif order.startswith(CHECK_ORDER):
            keys = self._extremes(order.removeprefix(CHECK_ORDER))
        else:
            raise ValueError(f"no order {order!r}; there are: {', '.join(ORDERS)} and {CHECK_ORDER}REASON")
        return np.lexsort((self._rank, np.nan_to_num(keys, nan=np.inf)))

    def _extremes(self, reason: str) -> npt.NDArray[np.float64]:
        """Values of a check, the worst least. Which side is the bad one is read off what is flagged."""
        found = [next((check for check in entry.checks if check.reason == reason), None) for entry in self.entries]
        votes = [
            check.flagged == (check.value > check.threshold)
            for check in found
            if check is not None and check.value is not None and check.threshold is not None and check.value != check.threshold
        ]
        sign = -1.0 if 2 * sum(votes) >= len(votes) else 1.0
        return _numbers(None if check is None or check.value is None else sign * check.value for check in found)


def _members(places: list[int], count: int) -> Bools:
    mask = np.zeros(count, dtype=bool)
    mask[places] = True
    return mask


def _numbers(values: Iterable[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _any_of(table: Mapping[str, Bools], chosen: frozenset[str]) -> Bools:
    """The images that have one of the chosen values; all where none is chosen. A value that no image has fits none."""
    sample = next(iter(table.values()), np.zeros(0, dtype=bool))
    if not chosen:
        return np.ones(len(sample), dtype=bool)
    return np.any([table[value] for value in chosen if value in table] or [np.zeros(len(sample), dtype=bool)], axis=0)
