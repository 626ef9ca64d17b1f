"""How the review page asks and is answered: its query read from plain data, and errors that the reviewer can fix as sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from hf_bones.curation.review.facets import RELABEL, Entry
from hf_bones.curation.review.index import BY_HASH, ReviewQuery
from hf_bones.manifest.connecting import ManifestError
from hf_bones.manifest.votes import differ, on_label, on_use

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


def check_adjudication(entry: Entry, action: str, query: ReviewQuery) -> None:
    """Raises `ReviewError` where the votes about an image do not differ on what `action` is about, or are hidden from who asks."""
    if query.blind:
        raise ReviewError("Others' votes are hidden; show the labels to adjudicate.")
    about_label = action == RELABEL
    if not differ((on_label if about_label else on_use)(entry.record.votes)):
        question = "its label" if about_label else "whether it is used"
        raise ReviewError(f"Reviewers do not differ on {question}: there is nothing to adjudicate.")


def text_of(value: object) -> str:
    """A line of text without control characters, at most `_LONGEST_TEXT` long."""
    line = " ".join(str(value or "").split())
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST_TEXT]
