"""How the review page asks and is answered: its query read from plain data, and errors that the reviewer can fix as sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from hf_bones.curation.review.index import BY_HASH, ReviewQuery
from hf_bones.manifest.connecting import ManifestError

Asked = Mapping[str, Any]
Answered = dict[str, Any]
_LONGEST_TEXT = 200  # of a reviewer's name and of a reason


class ReviewError(ValueError):
    """Something that the reviewer can mend; its text says how."""


def answering(function: Callable[[Any, Asked], Answered]) -> Callable[[Any, Asked], Answered]:
    """An answer with "ok", or the error as a sentence for the page; a bug keeps its trace."""

    @wraps(function)
    def answered(self: Any, asked: Asked) -> Answered:
        try:
            return {"ok": True, **function(self, asked)}
        except (ReviewError, ManifestError) as error:
            return {"error": str(error)}
        except sqlite3.Error as error:
            return {"error": f"Not saved: {error}. Another program may be writing to the manifest, or the disk is full; try again."}

    return answered


def query_of(data: Asked) -> ReviewQuery:
    """The page's query as one of ours: what is missing is empty, what is too long is cut."""
    chosen = data.get("chosen") if isinstance(data.get("chosen"), Mapping) else {}
    return ReviewQuery(
        {str(name): frozenset(map(str, values)) for name, values in (chosen or {}).items() if values},
        text_of(data.get("words")),
        str(data.get("order") or BY_HASH),
        text_of(data.get("reviewer")),
        bool(data.get("blind")),
    )


def text_of(value: object) -> str:
    """A line of text without control characters, at most `_LONGEST_TEXT` long."""
    line = " ".join(str(value or "").split())
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST_TEXT]
