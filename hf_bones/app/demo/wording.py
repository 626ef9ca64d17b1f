"""The words of the demo: one JSON file a language in `words/`, in sections that are those of the page.

A text is asked for by its place, "classify.verdict.healthy.title"; `{name}` in it is a slot. Nothing is escaped here: templates do that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from hf_bones.record import read_json

FOLDER = Path(__file__).with_name("words")
DEFAULT = "en"


@dataclass(frozen=True, eq=False)
class Words:
    """All texts of one language. `texts`: by dotted key."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text at `key` with its slots filled. Raises KeyError for a text that is not there, or a slot without a value."""
        return self.texts[key].format_map(values)

    def has(self, key: str) -> bool:
        """Whether there is a text at `key`, for words that a checkpoint may bring itself: classes of a scheme of its own."""
        return key in self.texts

    def section(self, key: str) -> dict[str, str]:
        """The texts below `key`, by the rest of their keys and with their slots unfilled: for scripts in the browser."""
        return {name.removeprefix(f"{key}."): text for name, text in self.texts.items() if name.startswith(f"{key}.")}


def languages() -> list[str]:
    """The languages that there is a file for, the default one first."""
    return sorted((path.stem for path in FOLDER.glob("*.json")), key=lambda language: (language != DEFAULT, language))


@lru_cache
def load_words(language: str = DEFAULT) -> Words:
    """The words of a language, such as `de`. Raises ValueError naming those that there are."""
    if language not in languages():
        raise ValueError(f"no words for language {language!r}: choose one of {', '.join(languages())}")
    return Words(language, MappingProxyType(_flat(read_json(FOLDER / f"{language}.json"))))


def _flat(section: Mapping[str, object], before: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in section.items():
        if isinstance(value, Mapping):
            texts.update(_flat(value, f"{before}{name}."))
        else:
            texts[f"{before}{name}"] = str(value)
    return texts
