"""The clients of `demo.py`: many at once, each asking for one film after the other by plain HTTP, as curl would."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 600.0  # s that a client waits for an answer


@dataclass(frozen=True)
class Asked:
    """One request: its film, how long it took in s, and the finding, or why there is none."""

    film: Path
    seconds: float
    finding: dict[str, Any] | None
    error: str = ""


def ask_all(address: str, films: Sequence[Path], clients: int) -> list[Asked]:
    """Each film once, by so many clients that wait for an answer before they ask again; in the order of the answers."""
    return asyncio.run(_ask_all(address, films, clients))


async def _ask_all(address: str, films: Sequence[Path], clients: int) -> list[Asked]:
    left, done = iter(films), []
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=limits) as http:

        async def client() -> None:
            for film in left:
                done.append(await _ask(http, film))

        await asyncio.gather(*(client() for _ in range(clients)))
    return done


async def _ask(http: httpx.AsyncClient, film: Path) -> Asked:
    begun = time.perf_counter()
    finding, error, step = None, "", "upload"
    try:
        uploaded = (await http.post("gradio_api/upload", files={"files": (film.name, film.read_bytes())})).raise_for_status().json()[0]
        step = "call"
        body = {"film": {"path": uploaded, "meta": {"_type": "gradio.FileData"}}}
        called = await http.post("gradio_api/call/v2/predict", json=body)
        if called.status_code != 200:
            return Asked(film, time.perf_counter() - begun, None, f"refused: {called.text}")
        step = "answer"
        events = (await http.get(f"gradio_api/call/v2/predict/{called.json()['event_id']}")).text
        said, _, data = events.rpartition("event: ")[2].partition("\ndata: ")
        if said == "complete":
            finding = json.loads(data)[0]
        else:
            error = f"{said}: {data.strip()}"
    except (httpx.HTTPError, ValueError, LookupError) as fault:
        error = f"lost at the {step}: {type(fault).__name__}: {fault}"
    return Asked(film, time.perf_counter() - begun, finding, error)
