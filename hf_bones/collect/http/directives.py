"""What a site says about machines: robots.txt (RFC 9309), X-Robots-Tag, and the TDM Reservation Protocol (W3C community report, 2024).

Reading and matching only; `hosts.py` asks for the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from hf_bones.collect.http.web import PRODUCT

FORBIDDING_TAGS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
# Directives that carry a value after a colon, which else would look like the name of a robot.
_TAGS_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def forbidding_tag(headers: httpx2.Headers) -> str | None:
    """The X-Robots-Tag directive that forbids the use of this file, None where there is none.

    "otherbot: noindex" holds for that robot alone, "hf_bones: noai" and "*: noai" for us too; a name holds until the next one in its line.
    """
    for line in headers.get_list("x-robots-tag"):
        robot = "*"
        for part in line.split(","):
            directive = part.strip().lower()
            name, colon, rest = directive.partition(":")
            if colon and name.strip() not in _TAGS_WITH_VALUE:
                robot, directive = name.strip(), rest.strip()
            if directive in FORBIDDING_TAGS and robot in ("*", PRODUCT):
                return directive
    return None


@dataclass(frozen=True)
class TdmRule:
    """One rule of a tdmrep.json: a path pattern (`*` anything, `$` end) and whether rights are reserved there."""

    location: str
    reserved: bool


def parse_tdmrep(text: str) -> tuple[TdmRule, ...]:
    """The rules of a /.well-known/tdmrep.json, in order. What is not such a file holds no rule: sites answer with anything there."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):  # the latter for brackets nested ten thousand deep
        return ()
    if not isinstance(entries, list):
        return ()
    return tuple(
        TdmRule(str(entry["location"]), str(entry.get("tdm-reservation")) == "1")
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("location"), str)
    )


def tdm_reserved(rules: Sequence[TdmRule], url: str) -> bool:
    """Whether the first rule that fits the URL's path reserves its rights."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return next((rule.reserved for rule in rules if _fits(rule.location, path)), False)


def _fits(pattern: str, path: str) -> bool:
    """Part by part instead of as a regular expression: one of a thousand asterisks would never come to an end."""
    first, *rest = re.split(r"\*+", pattern.rstrip("$"))
    if not path.startswith(first):
        return False
    at, anchored = len(first), pattern.endswith("$")
    if not rest:
        return not anchored or at == len(path)
    *middle, last = rest
    for part in middle:
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return path.endswith(last) and len(path) - len(last) >= at if anchored else path.find(last, at) >= 0


def header_reservation(headers: httpx2.Headers) -> bool | None:
    """What the TDM-Reservation header says about this file: True, False, or None where there is no such header."""
    value = headers.get("tdm-reservation", "").strip()
    return {"1": True, "0": False}.get(value)
