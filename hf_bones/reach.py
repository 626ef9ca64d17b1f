"""Whether a model or dataset that is named can be had: a folder here, the Hub's cache, or the Hub, and within seconds.

The Hub's client tries for half a minute before it says that there is no network, once for each file. So one connection is tried first,
for 2.5 seconds; where it fails, only the cache is looked at. huggingface_hub is imported inside: most commands need none of this.
"""

from __future__ import annotations

import difflib
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from hf_bones.system import causes

SECONDS = 2.5  # for a connection to the Hub, name service included
_TRUSTED = 60.0  # s: for so long a Hub that answered is not asked again
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_UNKNOWN = {"RepositoryNotFoundError", "GatedRepoError", "HFValidationError", "DatasetNotFoundError"}
_UNANSWERED = {"LocalEntryNotFoundError", "OfflineModeIsEnabled"}
_answered = 0.0  # when the Hub last did, by the monotonic clock


class UnreachedError(ConnectionError):
    """A name that is no folder here, and the Hub cannot be asked for it."""


def require_there(name: str, kind: str, option: str = "") -> None:
    """Makes sure within 3 s that the `kind` ("model", "dataset") called `name` may be had. `option` is how to name a folder instead.

    Raises FileNotFoundError for a path that is not there or holds nothing, and `UnreachedError` for a Hub id that is not in the cache while
    the Hub cannot be reached. Whether the Hub has it is left to whoever loads it.
    """
    path = Path(name).expanduser()
    if path.is_file() or (path.is_dir() and not any(path.iterdir())):
        what = "a file" if path.is_file() else "an empty folder"
        made = f" (write one with: hf-bones build SOURCE --out {name})" if kind == "dataset" else ""
        raise FileNotFoundError(f"{name}: {what}, and no {kind}{made}")
    if path.exists():
        return
    if not _HUB_ID.fullmatch(name):
        raise FileNotFoundError(f"{name}: no such folder{nearest_there(path)}")
    if _is_cached(name, kind):
        return
    problem = hub_problem()
    if problem:
        raise _unreached(name, kind, problem, option)


@contextmanager
def from_hub(name: str, kind: str, option: str = "") -> Iterator[None]:
    """While it lasts, the `kind` called `name` is loaded: from its folder, or from the Hub, or, where that cannot be reached, its cache.

    What the libraries raise becomes FileNotFoundError where the Hub has no such name, and `UnreachedError` where it cannot be asked; both
    on one line.
    """
    if Path(name).expanduser().exists():
        yield
        return
    with offline_where_unreached() as problem:
        try:
            yield
        except Exception as error:
            names = {kind.__name__ for each in causes(error) for kind in type(each).__mro__}
            if "RevisionNotFoundError" in names:
                raise FileNotFoundError(f"{name}: the Hub has it, but no such revision; name a branch, tag or commit") from error
            if names & _UNKNOWN:
                raise FileNotFoundError(
                    f"{name}: no such folder here, and no {kind} of that name on the Hub that you may read"
                    f"{nearest_there(Path(name))}; a private or gated one needs `hf auth login`"
                ) from error
            unsaid = isinstance(error, OSError) and error.errno is None  # of a library: not of the disk, nor of the recipe
            if (problem and unsaid) or names & _UNANSWERED:
                raise _unreached(name, kind, problem or "it does not answer", option) from error
            raise


def _unreached(name: str, kind: str, problem: str, option: str) -> OSError:
    """A folder of that name's parent is taken for a sign that a path was meant: then it is the path that is wrong, not the network."""
    said = f"{name}: no such folder here, and not found on the Hub ({problem}){nearest_there(Path(name))}"
    if "/" in name and Path(name).parent.is_dir():
        return FileNotFoundError(said)
    other = f", or name a folder with {option}" if option else ""
    return UnreachedError(f"{said}. Connect to the network once to download this {kind}{other}")


def nearest_there(path: Path) -> str:
    """What else lies there under a similar name, in words."""
    try:
        close = difflib.get_close_matches(
            path.name, [name for each in path.expanduser().parent.iterdir() if (name := each.name) != path.name], n=1, cutoff=0.7
        )
    except OSError:
        return ""
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def _is_cached(name: str, kind: str) -> bool:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE, f"{kind}s--{name.replace('/', '--')}", "snapshots")
    return folder.is_dir() and any(folder.iterdir())


def hub_problem(seconds: float = SECONDS) -> str | None:
    """Why the Hub cannot be reached, None where it can; known within `seconds`. A proxy of the environment is asked in its place."""
    global _answered
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if _answered and time.monotonic() - _answered < _TRUSTED:
        return None
    endpoint = urlsplit(constants.ENDPOINT)
    proxy = getproxies().get(endpoint.scheme)
    through = endpoint if not proxy or proxy_bypass(endpoint.hostname or "") else urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = through.hostname or "", through.port or (443 if through.scheme == "https" else 80)
    answer: SimpleQueue[str | None] = SimpleQueue()

    def connect() -> None:  # in a thread: a name service that does not answer has a timeout of its own, which is long
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            answer.put(None)
        except (OSError, ValueError) as error:
            answer.put(f"{host} cannot be reached: {getattr(error, 'strerror', None) or error}")

    threading.Thread(target=connect, daemon=True).start()
    try:
        problem = answer.get(timeout=seconds)
    except Empty:
        return f"{host} does not answer within {seconds:g} s"
    _answered = time.monotonic() if problem is None else 0.0
    return problem


@contextmanager
def offline_where_unreached() -> Iterator[str | None]:
    """While it lasts, the Hub's libraries look into their cache alone if the Hub cannot be reached; gives why it cannot, or None."""
    from huggingface_hub import constants

    problem, before = hub_problem(), constants.HF_HUB_OFFLINE
    try:
        _set_offline(before or problem is not None)
        yield problem
    finally:
        _set_offline(before)


def _set_offline(value: bool) -> None:
    """In the libraries that are loaded: each read the environment when it was imported."""
    for name in ("huggingface_hub.constants", "datasets.config"):
        module: Any = sys.modules.get(name)
        if module is not None:
            module.HF_HUB_OFFLINE = value
