"""The demo for agents: `python -m pytest tests/app/demo/test_mcp.py`."""

from __future__ import annotations

import base64
import builtins
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from tiny import grey, png

import hf_bones.app.demo.page as page_module
from hf_bones.app.demo.agents import agents_server, require_mcp
from hf_bones.app.demo.page import launch
from hf_bones.app.serving import serve
from hf_bones.inference.predictor import BonePredictor


@contextmanager
def agents(checkpoint: Path, auth: tuple[str, str] | None = None) -> Iterator[str]:
    """The demo with its server for agents: its address."""
    demo, page = page_module.make_page([checkpoint])
    yield serve(demo, wait=False, auth=auth, app_kwargs=agents_server(page.shelf, page.asked, auth))
    demo.close(verbose=False)


@pytest.fixture(scope="module")
def address(checkpoint: Path) -> Iterator[str]:
    with agents(checkpoint) as found:
        yield found


def ask(address: str, arguments: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[Any, Any]:
    """The tools that an agent is shown, and what `predict` gives it."""

    async def session() -> tuple[Any, Any]:
        async with (
            streamablehttp_client(f"{address}gradio_api/mcp", headers=headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools, await session.call_tool("predict", arguments)

    return anyio.run(session)


def test_the_tool_gives_the_finding_of_the_predictor_as_json(address: str, predictor: BonePredictor) -> None:
    film = png(grey())
    (tool,), answer = ask(address, {"film": base64.b64encode(film).decode(), "name": "wrist.png"})
    assert tool.name == "predict" and "my-model" in tool.description and "not a medical device" in tool.description
    assert sorted(tool.inputSchema["properties"]) == ["film", "model", "name"] and tool.inputSchema["required"] == ["film"]
    expected = {**predictor.predict(film)[0].to_dict(), "source": "wrist.png", "checkpoint": "my-model"}
    assert not answer.isError and answer.structuredContent == json.loads(answer.content[0].text) == expected


def test_a_film_may_be_a_data_url_or_an_upload_but_no_address_or_path(address: str, tmp_path: Path) -> None:
    film, path = png(grey()), tmp_path / "elbow.png"
    path.write_bytes(film)
    (there,) = httpx.post(f"{address}gradio_api/upload", files={"files": (path.name, film)}).json()
    for given, source in (
        ("data:image/png;base64," + base64.b64encode(film).decode(), "film"),
        (there, "elbow.png"),
        (f"{address}gradio_api/file={there}", "elbow.png"),
    ):
        _, answer = ask(address, {"film": given})
        assert not answer.isError and answer.structuredContent["source"] == source
    for given in (str(path), "http://films.example/a.png", "file:///etc/passwd", "no base64!"):
        _, answer = ask(address, {"film": given})
        assert answer.isError and "Addresses are not fetched" in answer.content[0].text


def test_a_bad_film_is_a_finding_and_a_model_that_is_not_offered_an_error(address: str) -> None:
    _, answer = ask(address, {"film": base64.b64encode(b"no film").decode()})
    assert answer.structuredContent["verdict"] == "unreadable"
    _, answer = ask(address, {"film": base64.b64encode(png(grey())).decode(), "model": "me/else"})
    assert answer.isError and "choose one of my-model" in answer.content[0].text


def test_other_sites_reach_no_agents_server(address: str) -> None:
    assert httpx.post(f"{address}gradio_api/mcp", json={}, headers={"Origin": "http://films.example"}).status_code == 403


def test_with_a_password_agents_log_in_too(checkpoint: Path) -> None:
    with agents(checkpoint, ("ada", "a secret")) as address:
        place = f"{address}gradio_api/mcp"
        assert httpx.post(place, json={}).status_code == httpx.post(place, json={}, auth=("ada", "wrong")).status_code == 401
        basic = {"Authorization": "Basic " + base64.b64encode(b"ada:a secret").decode()}
        _, answer = ask(address, {"film": base64.b64encode(png(grey())).decode()}, basic)
        assert not answer.isError


def test_without_the_package_one_sentence_says_what_to_install(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "mcp":
            raise ImportError(name)
        return real(name, *rest)

    require_mcp()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ValueError, match=r"pip install 'hf-bones\[mcp\]'"):
        launch(checkpoint, mcp=True)
