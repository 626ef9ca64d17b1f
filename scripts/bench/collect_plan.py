"""What the collector's bench serves: JPEGs of distinct bytes on 64 loopback addresses, and which of the answers go wrong, and how.

The plan follows from a few numbers, so that the server and the bench, two processes, each work it out for themselves.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import random
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hf_bones.labels import THREE_CLASS

HOSTS = tuple(f"127.0.1.{number}" for number in range(1, 65))
TRAP = "127.0.0.1"  # outside the network that the collector is allowed: a request that arrives there has got past the guard
ALLOWED = "127.0.1.0/24"
COPIES = 0.05  # of the URLs without a fault serve the bytes of another URL

STORED, REFUSED, FAILED = "stored", "refused", "failed"


@dataclass(frozen=True)
class Fault:
    """A way for an answer to go wrong, and what must come of a URL that always answers so. `passes`: it may pass after a few attempts,
    and then its image must be stored. Several `reasons` where the moment decides between them."""

    name: str
    state: str
    reasons: tuple[str, ...] = ("",)
    passes: bool = False


FAULTS = (
    Fault("reset mid-body", FAILED, ("incomplete", "connection"), passes=True),
    Fault("closed before Content-Length", FAILED, ("incomplete",), passes=True),
    Fault("closed without an answer", FAILED, ("connection",), passes=True),
    Fault("503, Retry-After 0", FAILED, ("http_status",), passes=True),
    Fault("503, Retry-After 1", FAILED, ("http_status",), passes=True),
    Fault("429", FAILED, ("http_status",), passes=True),
    Fault("slow drip without end", FAILED, ("too_slow",)),
    Fault("hangs", FAILED, ("too_slow",)),
    Fault("404", REFUSED, ("http_status",)),
    Fault("redirect loop", REFUSED, ("too_many_redirects",)),
    Fault("redirect to a private address", REFUSED, ("private_address",)),
    Fault("announces 10 GB", REFUSED, ("file_too_large",)),
    Fault("HTML as image/jpeg", REFUSED, ("not_an_image",)),
    Fault("garbage as image/jpeg", REFUSED, ("not_an_image",)),
    Fault("half a file, its Content-Length right", REFUSED, ("undecodable_or_truncated",)),
    Fault("slow, within the limit", STORED),
    Fault("wrong Content-Type, right bytes", STORED),
    Fault("redirect to another host", STORED),
)
PRIVATE_TARGETS = (f"{TRAP}:{{port}}", "169.254.169.254", "0x7f000001:{port}", "[::1]:{port}", "2130706433:{port}", "127.1:{port}")


@dataclass(frozen=True)
class Item:
    """One URL of the plan. `source` is the item whose bytes it serves (itself, unless it is a copy); `fault` is None for a plain answer;
    `faulty_attempts` is how often it goes wrong before it passes, None for always."""

    index: int
    source: int
    fault: Fault | None = None
    faulty_attempts: int | None = None

    @property
    def host(self) -> str:
        return HOSTS[self.index % len(HOSTS)]

    @property
    def path(self) -> str:
        return f"/{self.index:06d}.jpg"

    @property
    def label(self) -> str:
        return THREE_CLASS.names[self.index % len(THREE_CLASS.names)]

    def url(self, port: int) -> str:
        return f"http://{self.host}:{port}{self.path}"

    @property
    def outcome(self) -> tuple[str, tuple[str, ...]]:
        """The state that its row must end in, and the reasons that will do."""
        if self.fault is None or self.faulty_attempts is not None:
            return STORED, ("",)
        return self.fault.state, self.fault.reasons


def make_plan(count: int, faulty: float = 0.0, seed: int = 0) -> list[Item]:
    """`count` URLs, a share `faulty` of them with a fault, each kind as often as the others, and some copies where there are faults."""
    chance = random.Random(seed)
    wrong = set(chance.sample(range(count), round(count * faulty)))
    kinds = itertools.cycle(FAULTS)
    plan: list[Item] = []
    sound: list[int] = []
    for index in range(count):
        if index in wrong:
            fault = next(kinds)
            plan.append(Item(index, index, fault, chance.choice((1, 2, None)) if fault.passes else None))
        elif faulty and sound and chance.random() < COPIES:
            plan.append(Item(index, chance.choice(sound)))
        else:
            sound.append(index)
            plan.append(Item(index, index))
    return plan


class Served:
    """What a server of `count` URLs hands out, as it serves it and the bench checks it: JPEGs of a folder in turn, no two alike, each time
    with another comment behind their first marker."""

    def __init__(self, folder: Path, count: int, faulty: float = 0.0, seed: int = 0) -> None:
        files = [path.read_bytes() for path in sorted(folder.rglob("*.jpg")) if path.is_file()]
        self._files = [data for data in files if data.startswith(b"\xff\xd8")]
        if not self._files:
            raise ValueError(f"{folder}: no .jpg files in it; give a folder of JPEGs, or none and radiographs are drawn")
        self.plan = make_plan(count, faulty, seed)

    def body(self, number: int) -> bytes:
        data = self._files[number % len(self._files)]
        comment = f"hf_bones bench {number:06d}".encode()
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]

    @cached_property
    def hashes(self) -> list[str]:
        """By item: the hash of the bytes it serves when nothing goes wrong."""
        return [hashlib.sha256(self.body(item.source)).hexdigest() for item in self.plan]

    def write_table(self, path: Path, port: int, count: int | None = None) -> None:
        """The links, or the first `count`, as CSV, with a label each, for the collector's `urls` provider and for img2dataset."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["url", "label"])
            writer.writerows([item.url(port), item.label] for item in self.plan[:count])
