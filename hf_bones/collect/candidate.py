"""What a provider finds: a Candidate, an image that might be collected, with where it stands and under which licence.

Not here: fetching it (`http/fetch.py`), and what becomes of it (`queue.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True, eq=False)
class Candidate:
    """An image as its provider states it. Empty text means that the provider does not say.

    `url` tells where the bytes are and is the candidate's identity: http or https, or a name such as "folder:ankles/healthy/1.png" where
    `content` reads the bytes. `page` is the page or publication it stands on: what one page shows stays in one split. `licence` is an
    SPDX identifier or "unknown"; `licence_text` and `licence_url` are the source's own words. `label`, `subtype` and `region` are given
    only by sources that state them (folders, tables, datasets); a search leaves them to its query. `sha256` is the hash that the bytes must
    have, where it is known beforehand. `details` holds further columns by `ImageRecord` name (view, patient, boxes …).
    """

    url: str
    page: str = ""
    title: str = ""
    creator: str = ""
    creator_url: str = ""
    licence: str = UNKNOWN_LICENCE
    licence_text: str = ""
    licence_url: str = ""
    attribution: str = ""
    label: str = ""
    subtype: str = ""
    region: str = ""
    sha256: str = ""
    details: dict[str, Any] | None = None
    content: Callable[[], bytes] | None = None


class ProviderError(RuntimeError):
    """A provider cannot be searched: it is down, refuses us, limits us or answers with something else than it should.

    `retry_after` is the wait in seconds that it asked for, if it did.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Provider(Protocol):
    """One place to look for images. `label_basis` tells how its labels come about: "query" where only the search term says so.

    A provider is made as `Kind(options, api)`, `options` being an `options_type`: a dataclass of `config.option` fields, which is what a
    recipe may set. `takes_queries` is false for sources that are read whole, once, with an empty query.
    """

    name: ClassVar[str]
    label_basis: ClassVar[str]
    takes_queries: ClassVar[bool]
    options_type: ClassVar[type]

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """At most `limit` candidates (None: all), lazily, best first. Raises `ProviderError` saying what to do; what came before counts."""
        ...
