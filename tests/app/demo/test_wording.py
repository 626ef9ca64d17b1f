"""The words of the demo in each of its languages. Run: pytest tests/app/demo/test_wording.py"""

from __future__ import annotations

import json
import re
from string import Formatter

import pytest

from hf_bones.app.demo.wording import FOLDER, languages, load_words

# Words that a German text has no use for; those that both languages have ("in", "an", "was") are left out.
ENGLISH = set(re.findall(r"\w+", "the of and is are not with for from this that what which on to be it or by has have you your"))


def slots(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_english_is_the_first_of_the_languages_and_each_has_its_file() -> None:
    assert languages()[0] == "en" and "de" in languages()
    assert {path.name for path in FOLDER.iterdir()} == {f"{language}.json" for language in languages()}


@pytest.mark.parametrize("language", languages()[1:])
def test_each_language_has_the_same_texts_with_the_same_slots(language: str) -> None:
    english, other = load_words("en").texts, load_words(language).texts
    assert list(english) == list(other), "the same keys in the same order"
    for key, text in english.items():
        assert slots(text) == slots(other[key]), key
        assert text.strip() and other[key].strip(), key


def test_no_german_text_is_english() -> None:
    for key, text in load_words("de").texts.items():
        left = set(re.findall(r"\b[a-z]+\b", re.sub(r"<[^>]*>|`[^`]*`|\{\w+\}", " ", text))) & ENGLISH
        assert not left, f"{key}: {sorted(left)} in {text!r}"


def test_no_key_is_written_twice() -> None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"twice: {sorted({name for name in names if names.count(name) > 1})}"
        return dict(pairs)

    for language in languages():
        json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"), object_pairs_hook=once)


def test_slots_are_filled_and_what_is_missing_is_an_error() -> None:
    words = load_words("de")
    assert words.language == "de" and "20 Minuten" in words("page.privacy", minutes=20)
    with pytest.raises(KeyError, match="minutes"):
        words("page.privacy")
    with pytest.raises(KeyError, match=r"page\.no_such_text"):
        words("page.no_such_text")
    assert not words.has("page.no_such_text") and words.section("page")["tab_data"] == words("page.tab_data")


def test_a_language_without_a_file_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="'xx': choose one of en, de"):
        load_words("xx")
