"""A small collection for tests, made through the collector's own queue, without a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from small_films import encoded

from hf_bones.collect import queue
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.examine import examine
from hf_bones.collect.queue import Arrival, Search
from hf_bones.collect.reasons import Outcome
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.manifest.store import ImageRecord, Manifest, open_manifest


class Source:
    """A provider by name only: what it finds is handed to `see`."""

    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = dict

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        yield from ()


def jpeg(seed: int = 0, side: int = 48, kind: str = "JPEG") -> bytes:
    """A tiny picture of its own bytes for each seed."""
    return encoded(np.random.default_rng(seed).integers(0, 255, (side, side), np.uint8), kind)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def keep(manifest: Manifest, body: bytes, kind: str = "jpg", **known: Any) -> str:
    """An image that the manifest knows, its file in place; returns its hash."""
    sha256 = digest(body)
    file = f"images/{sha256[:2]}/{sha256}.{kind}"
    (manifest.folder / file).parent.mkdir(parents=True, exist_ok=True)
    (manifest.folder / file).write_bytes(body)
    manifest.add_image(ImageRecord(sha256, file, len(body), **known))
    return sha256


def see(manifest: Manifest, provider: str, query: str, label: str, *found: Candidate) -> None:
    """A search that found these candidates, and is done."""
    number, _ = queue.start_search(manifest, Search(Source(provider), query, label))
    with manifest.transaction():
        for candidate in found:
            queue.add_candidate(manifest, number, candidate, lambda licence: licence != "unknown")
    queue.end_search(manifest, number)


def bring(manifest: Manifest, url: str, body: bytes, **arrival: Any) -> str:
    """What the collector does when a URL brings bytes; returns their hash."""
    sha256 = digest(body)
    (manifest.folder / "partial").mkdir(exist_ok=True)
    found = examine(body, sha256, str(manifest.folder), DEFAULT_LIMITS, keep_refused=True)
    if found.reason:
        how = Arrival(200, url, "image/jpeg", 1)
        queue.record_outcome(
            manifest, url, Outcome.REFUSED, found.reason, found.detail, how, sha256=sha256, size=len(body), kept=found.file
        )
    else:
        record = ImageRecord(sha256, found.file, len(body), found.width, found.height, found.format)
        queue.record_stored(manifest, url, record, Arrival(200, arrival.get("final_url", url), "image/jpeg", 1))
    return sha256


def fail(manifest: Manifest, url: str, outcome: Outcome, reason: str, status: int | None = None, detail: str = "") -> None:
    queue.record_outcome(manifest, url, outcome, reason, detail, Arrival(status, attempts=1))


def small_collection(folder: Path, base: str = "http://127.0.0.1:9") -> Path:
    """Three images (one at two URLs, one under two labels), two refused, one failed, one waiting, one without a licence; three searches."""
    with open_manifest(folder, create=True) as manifest:
        by = {"licence": "CC-BY-4.0", "licence_url": "https://creativecommons.org/licenses/by/4.0/"}
        see(
            manifest, "openverse", "normal wrist", "healthy",
            Candidate(f"{base}/a.jpg", page="http://p/1", title="A wrist\u2028of Ada's", creator="Ada", creator_url="http://ada/", **by),
            Candidate(f"{base}/both.jpg", page="http://p/3", licence="CC0-1.0"),
            Candidate(f"{base}/no.jpg", licence="CC0-1.0"),
            Candidate(f"{base}/secret.jpg", title="nobody may"),
        )  # fmt: skip
        see(
            manifest, "commons", "broken wrist", "fractured",
            Candidate(f"{base}/both.jpg", page="http://p/4", licence="CC0-1.0"),
            Candidate(f"{base}/d.jpg", page="http://p/2", licence="CC-BY-SA-3.0", subtype="hairline", details={"view": "lateral"}),
            Candidate(f"{base}/gone.jpg", licence="CC0-1.0"),
            Candidate(f"{base}/down.jpg", licence="CC0-1.0"),
        )  # fmt: skip
        see(
            manifest, "commons", "wrist", "healthy",
            Candidate(f"{base}/a-copy.jpg", page="http://p/2", **by),
            Candidate(f"{base}/later.jpg", licence="CC0-1.0"),
            Candidate(f"{base}/gone.jpg", licence="CC0-1.0"),
        )  # fmt: skip
        for name, body in (("a", jpeg(1)), ("both", jpeg(2)), ("d", jpeg(4)), ("a-copy", jpeg(1)), ("no", b"<html>")):
            bring(manifest, f"{base}/{name}.jpg", body)
        fail(manifest, f"{base}/gone.jpg", Outcome.REFUSED, "http_status", 404, "answered 404")
        fail(manifest, f"{base}/down.jpg", Outcome.FAILED, "too_slow", None, "not there within 90 s")
    return folder
