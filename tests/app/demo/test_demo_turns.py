"""Which films the demo answers: `python -m pytest tests/app/demo/test_demo_turns.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

import hf_bones.app.demo.tabs.classify as classify_tab
from hf_bones.app.demo.examples import draw_examples
from hf_bones.app.demo.page import build_demo
from hf_bones.app.demo.turns import MOST_VIEWS, Turns

MODEL = "my-model"
NOTHING_NEW = gr.skip()
Handlers = SimpleNamespace


@pytest.fixture(scope="module")
def handlers(checkpoint: Path) -> Handlers:
    """The functions behind the page's events, by name."""
    return SimpleNamespace(**{fn.name: fn.fn for fn in build_demo(checkpoint).fns.values() if fn.fn is not None})


def click(handlers: Handlers, turns: Turns, turn: int, example: int) -> Any:
    return handlers.begin_example(turn, 0, turns, SimpleNamespace(example=example))


def answer_newest(handlers: Handlers, turns: Turns, model: str = MODEL) -> Any:
    return handlers.classify_newest(turns, model, None)


def while_answering(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Lets something happen once, before the next answer is there."""
    judge = classify_tab.judge

    def slowly(*given: Any) -> Any:
        monkeypatch.setattr(classify_tab, "judge", judge)
        happens()
        return judge(*given)

    monkeypatch.setattr(classify_tab, "judge", slowly)


def names(shown: dict[str, Any]) -> list[str]:
    return [film["name"] for film in shown["films"]]


def test_a_click_while_the_first_example_is_read_shows_the_second(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, examples = Turns(), draw_examples()
    click(handlers, turns, 1, 0)
    while_answering(monkeypatch, lambda: click(handlers, turns, 2, 1))
    assert answer_newest(handlers, turns) == NOTHING_NEW, "the first answer is not shown beside the second film"
    shown = answer_newest(handlers, turns)
    (film,) = shown["films"]
    assert shown["finding"]["source"] == film["name"] == examples[1].name
    assert (film["width"], film["height"]) == examples[1].picture().size
    assert shown["turn"] == 2 and 'data-turn="2"' in shown["verdict"]
    assert answer_newest(handlers, turns) == NOTHING_NEW, "it is answered once"


def test_nothing_of_the_last_film_is_shown_while_the_next_is_read(handlers: Handlers) -> None:
    turns, example = Turns(), draw_examples()[2]
    shown = click(handlers, turns, 1, 2)
    assert shown.keys() == {"turn", "state", "verdict", "films"} and shown["state"] == "reading"
    assert f"Reading {example.name}" in shown["verdict"] and 'data-state="reading"' in shown["verdict"]
    assert shown["films"][0].keys() == {"name", "picture"} and shown["films"][0]["picture"].startswith("data:image/png")
    shown = handlers.begin_files(2, 0, turns, ["/uploads/wrist.dcm"])
    assert shown["films"] == [{"name": "wrist.dcm"}] and "Reading wrist.dcm" in shown["verdict"]


def test_a_film_removed_while_it_is_read_stays_away(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    click(handlers, turns, 1, 0)
    removed = []
    while_answering(monkeypatch, lambda: removed.append(handlers.begin_removed(2, 0, turns)))
    assert answer_newest(handlers, turns) == NOTHING_NEW and answer_newest(handlers, turns) == NOTHING_NEW
    assert removed[0]["state"] == "empty" and 'data-state="empty"' in removed[0]["verdict"] and removed[0]["films"] == []


def test_turns_that_overtake_each_other_on_their_way_count_by_number(handlers: Handlers) -> None:
    turns = Turns()
    click(handlers, turns, 2, 1)
    assert click(handlers, turns, 1, 0) == NOTHING_NEW
    assert handlers.begin_files(1, 1, turns, ["/uploads/wrist.dcm"]) == NOTHING_NEW
    assert answer_newest(handlers, turns)["finding"]["source"] == draw_examples()[1].name


def test_views_are_added_and_taken_away_and_answered_together_and_apart(handlers: Handlers, tmp_path: Path) -> None:
    turns, examples = Turns(), draw_examples()
    for example in examples[:3]:
        (tmp_path / example.name).write_bytes(example.png)
    first, *others = [str(tmp_path / example.name) for example in examples[:3]]
    handlers.begin_files(1, 0, turns, [first])
    handlers.begin_files(2, 1, turns, others)
    shown = answer_newest(handlers, turns)
    assert names(shown) == [example.name for example in examples[:3]] and len({film["token"] for film in shown["films"]}) == 3
    assert "All 3 views together" in shown["verdict"] and [view["source"] for view in shown["finding"]["views"]] == names(shown)
    assert all("This view alone" in film["html"] for film in shown["films"]) and "Views joined by" in shown["study"]
    handlers.begin_without(3, 0, turns, SimpleNamespace(place=1))
    assert names(answer_newest(handlers, turns)) == [examples[0].name, examples[2].name]
    handlers.begin_without(4, 0, turns, SimpleNamespace(place=1))
    alone = answer_newest(handlers, turns)
    assert names(alone) == [examples[0].name] and alone["study"] == "" and "views together" not in alone["verdict"]
    assert str(tmp_path) not in str({**shown, **alone})


def test_a_patient_has_a_limited_number_of_views() -> None:
    turns = Turns()
    assert turns.begin(1, ("one",) * (MOST_VIEWS - 1)) and turns.begin(2, ("two", "three"), adding=True)
    assert len(turns.films) == MOST_VIEWS and turns.films[-1] == "two"


def test_another_model_answers_the_same_films_anew(handlers: Handlers) -> None:
    turns = Turns()
    click(handlers, turns, 1, 0)
    first = answer_newest(handlers, turns)
    assert handlers.begin_again(2, 0, turns)["state"] == "reading"
    again = answer_newest(handlers, turns)
    assert again["turn"] == 2 and again["finding"] == first["finding"]


def test_a_model_that_cannot_be_had_is_said_and_no_film_is_shown(handlers: Handlers) -> None:
    turns = Turns()
    click(handlers, turns, 1, 0)
    shown = answer_newest(handlers, turns, "no/such")
    assert shown["state"] == "failed" and "no model" in shown["verdict"] and "my-model" in shown["verdict"] and shown["films"] == []
