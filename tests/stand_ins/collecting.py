"""Runs of the collector for tests: a provider that names given candidates, fast settings, and what is found afterwards."""

from collections.abc import Iterator
from typing import ClassVar

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.queue import Search
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.run import collect
from hf_bones.manifest.store import open_manifest


class Links:
    """A provider that names given candidates."""

    name: ClassVar[str] = "links"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = dict

    def __init__(self, *candidates: Candidate | str, error: str = "") -> None:
        self.candidates = [each if isinstance(each, Candidate) else Candidate(each, licence="CC0-1.0") for each in candidates]
        self.error = error
        self.asked = 0

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        self.asked += 1
        yield from self.candidates
        if self.error:
            raise ProviderError(self.error)


FAST = {
    "delay": 0.0,
    "per_host": 4,
    "concurrency": 8,
    "first_wait": 0.01,
    "attempts": 3,
    "file_timeout": 10.0,
    "min_free_bytes": 0,
    "workers": 1,
}
HERE = AddressGuard(["127.0.0.0/8"])


def run(out, *links, guard=HERE, permits=lambda licence: True, retry_failed=False, label="fractured", error="", **settings):
    provider = links[0] if links and isinstance(links[0], Links) else Links(*links, error=error)
    search = Search(provider, "wrist fracture", label, "hairline", "wrist")
    return collect(
        out, [search], FetchSettings(**(FAST | settings)), guard=guard, agent="hf_bones-tests", permits=permits, retry_failed=retry_failed
    )


def outcomes(out):
    """URL path → (state, reason)."""
    with open_manifest(out) as manifest:
        rows = manifest.rows("SELECT * FROM fetches WHERE url LIKE 'http%' OR url LIKE '%://%'")
        return {"/" + row["url"].split("/", 3)[3]: (row["state"], row["reason"]) for row in rows}


def files(out, part="images"):
    return sorted(path for path in (out / part).rglob("*") if path.is_file())
