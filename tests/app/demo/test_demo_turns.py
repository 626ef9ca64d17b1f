"""Which film the demo answers: `python -m pytest tests/app/demo/test_demo_turns.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

import hf_bones.app.demo.tabs.classify as classify_tab
from hf_bones.app.demo.classify import Answer, answer
from hf_bones.app.demo.examples import draw_examples
from hf_bones.app.demo.page import build_demo
from hf_bones.app.demo.turns import Turns

MODEL = "my-model"
FINDING, VERDICT, PROBABILITIES, HEAT, CAPTION, IMAGE = range(6)
NOTHING_NEW = gr.skip()
Handlers = SimpleNamespace


@pytest.fixture(scope="module")
def handlers(checkpoint: Path) -> Handlers:
    """The functions behind the page's events, by name."""
    return SimpleNamespace(**{fn.name: fn.fn for fn in build_demo(checkpoint).fns.values() if fn.fn is not None})


def click(handlers: Handlers, turns: Turns, turn: int, example: int) -> Any:
    return handlers.begin_example(turn, turns, SimpleNamespace(example=example))


def while_answering(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Lets something happen once, before the next answer is there."""

    def slowly(*given: Any) -> Answer:
        monkeypatch.setattr(classify_tab, "answer", answer)
        happens()
        return answer(*given)

    monkeypatch.setattr(classify_tab, "answer", slowly)


def test_a_click_while_the_first_example_is_read_shows_the_second(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, examples = Turns(), draw_examples()
    click(handlers, turns, 1, 0)
    while_answering(monkeypatch, lambda: click(handlers, turns, 2, 1))
    assert handlers.classify_newest(turns, MODEL, None) == NOTHING_NEW, "the first answer is not shown beside the second film"
    shown = handlers.classify_newest(turns, MODEL, None)
    assert shown[FINDING]["source"] == examples[1].name and shown[IMAGE].size == examples[1].picture().size
    assert 'data-turn="2"' in shown[VERDICT]
    assert handlers.classify_newest(turns, MODEL, None) == NOTHING_NEW, "it is answered once"


def test_nothing_of_the_last_film_is_shown_while_the_next_is_read(handlers: Handlers) -> None:
    turns, example = Turns(), draw_examples()[2]
    shown = click(handlers, turns, 1, 2)
    assert (shown[FINDING], shown[PROBABILITIES], shown[HEAT], shown[CAPTION]) == (None, "", None, "")
    assert f"Reading {example.name}" in shown[VERDICT] and 'data-state="reading"' in shown[VERDICT]
    assert shown[IMAGE].size == example.picture().size
    shown = handlers.begin_file(2, turns, "/uploads/wrist.dcm")
    assert shown[IMAGE] is None and "Reading wrist.dcm" in shown[VERDICT]


def test_a_film_removed_while_it_is_read_stays_away(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    click(handlers, turns, 1, 0)
    removed = []
    while_answering(monkeypatch, lambda: removed.append(handlers.begin_removed(2, turns)))
    assert handlers.classify_newest(turns, MODEL, None) == NOTHING_NEW and handlers.classify_newest(turns, MODEL, None) == NOTHING_NEW
    assert 'data-state="empty"' in removed[0][VERDICT] and removed[0][IMAGE] is None


def test_turns_that_overtake_each_other_on_their_way_count_by_number(handlers: Handlers) -> None:
    turns = Turns()
    click(handlers, turns, 2, 1)
    assert click(handlers, turns, 1, 0) == NOTHING_NEW
    assert handlers.classify_newest(turns, MODEL, None)[FINDING]["source"] == draw_examples()[1].name
