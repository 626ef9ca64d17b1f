"""Who may call a page: `python -m pytest tests/app/test_same_origin.py`."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from starlette.datastructures import Headers

from hf_bones.app.same_origin import SameOriginOnly, guard

REFUSED, ANSWERED = True, False


async def _app(*_: Any) -> None: ...


def _turned_away(headers: dict[str, str], method: str = "GET", **given: Any) -> bool:
    made = guard(**given)
    return bool(SameOriginOnly(_app, **made.kwargs).fault(method, Headers(headers)))


@pytest.mark.parametrize(
    ("given", "host", "refused"),
    [
        ({}, "localhost:7860", ANSWERED),
        ({}, "films.example", REFUSED),
        ({"host": "films.example"}, "Films.example:7860", ANSWERED),
        ({"allowed": ("films.example",)}, "films.example", ANSWERED),
        ({"host": "0.0.0.0"}, "10.0.0.7:7860", ANSWERED),
        ({"host": "0.0.0.0"}, f"{socket.gethostname()}:7860", ANSWERED),
        ({"host": "0.0.0.0"}, "films.example", REFUSED),
        ({"share": True}, "0123abcd.gradio.live", ANSWERED),
        ({}, "0123abcd.gradio.live", REFUSED),
        ({"share": True}, "gradio.live.films.example", REFUSED),
        ({}, "", REFUSED),
        ({}, "[::1", REFUSED),
    ],
)
def test_a_server_answers_to_its_own_names(given: dict[str, Any], host: str, refused: bool) -> None:
    assert _turned_away({"host": host}, **given) is refused


def test_a_space_is_called_from_any_page_by_its_public_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_HOST", "ada-bones.hf.space")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    assert not _turned_away({"host": "ada-bones.hf.space", **framed})
    assert not _turned_away({"host": "ada-bones.hf.space", "origin": "https://huggingface.co"}, "POST")
    assert _turned_away({"host": "films.example"})
    assert _turned_away({"host": "127.0.0.1:7860", "origin": "https://ada-bones.hf.space"}, "POST")


def test_a_name_that_was_allowed_does_not_let_other_sites_in() -> None:
    given = {"allowed": ("films.example",)}
    assert not _turned_away({"host": "films.example", "origin": "https://films.example"}, "POST", **given)
    assert _turned_away({"host": "films.example", "origin": "http://films.example:3000"}, "POST", **given)
    assert _turned_away({"host": "127.0.0.1:7860", "origin": "http://films.example:7860"}, "POST", **given)
