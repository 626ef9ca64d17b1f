"""Who may ask how much at once: `python -m pytest tests/app/demo/test_asked.py`."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from hf_bones.app.demo.asked import Asked
from hf_bones.app.demo.wording import load_words

WORDS = load_words()


def visitor(page: str | None, address: str = "10.0.0.1", **headers: str) -> Any:
    return SimpleNamespace(session_hash=page, client=SimpleNamespace(host=address), username=None, headers=headers)


def test_a_page_and_an_address_have_so_much_at_work_and_then_less_again() -> None:
    asked = Asked(WORDS, a_page=2, an_address=3)
    with asked.admit(visitor("a")), asked.admit(visitor("a")):
        with pytest.raises(gr.Error, match="many films waiting"), asked.admit(visitor("a")):
            pass
        with asked.admit(visitor("b")):
            with pytest.raises(gr.Error, match="many films waiting"), asked.admit(visitor("c")):
                pass
            with asked.admit(visitor("c", "10.0.0.2")), asked.admit(None):
                pass
    with asked.admit(visitor("a")):
        pass


class Line:
    """A page's queue, as far as `keep_line` looks at it, with `demo.queue()` behind: nothing in it is ever worked on."""

    def __init__(self, **limits: int) -> None:
        with gr.Blocks() as self.demo:
            gr.on([], lambda: None, api_name="predict")
        self.demo.queue(max_size=None)
        Asked(WORDS, **limits).keep_line(self.demo)

    def push(self, page: str, address: str = "10.0.0.1", user: str | None = None, **headers: str) -> tuple[bool, str]:
        body = gr.data_classes.PredictBodyInternal(data=[], fn_index=0, session_hash=page)
        request = visitor(page, address, **headers)
        taken, said, _ = asyncio.run(self.demo._queue.push(body=body, request=request, username=user))
        return taken, said

    def __len__(self) -> int:
        return len(self.demo._queue)


def test_nobody_is_turned_away_at_twenty_but_who_has_too_much_waiting_is() -> None:
    line = Line(a_page=40, an_address=60, everybody=80)
    assert all(line.push("a")[0] for _ in range(40)) and len(line) == 40
    assert line.push("a") == (False, WORDS("server.too_many"))
    assert all(line.push("b")[0] for _ in range(20))
    assert line.push("c") == (False, WORDS("server.too_many")), "all three behind one address"
    assert all(line.push("c", "10.0.0.2")[0] for _ in range(20))
    assert line.push("d", "10.0.0.3") == (False, WORDS("server.full"))
    line.demo._queue.event_queue_per_concurrency_id.popitem()[1].queue.clear()
    assert line.push("a")[0]


def test_behind_the_proxy_of_a_space_visitors_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_HOST", "ada-bones.hf.space")
    line = Line(an_address=1)
    assert line.push("a", **{"x-forwarded-for": "192.0.2.1"})[0] and line.push("b", **{"x-forwarded-for": "192.0.2.2, 10.0.0.1"})[0]
    assert not line.push("c", **{"x-forwarded-for": "192.0.2.1"})[0]


def test_users_who_log_in_are_counted_by_name() -> None:
    line = Line(an_address=1)
    assert line.push("a", user="ada")[0] and line.push("b", user="bob")[0] and not line.push("c", "10.0.0.9", user="ada")[0]
