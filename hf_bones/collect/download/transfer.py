"""One large file from a registry onto the disk: in pieces if need be, checked before it counts.

Bytes go into a part file whose name holds the checksum that is expected, so that a later run continues it and a newer version of the file
does not. The part becomes the file in one step, once its size and its checksum are the registry's: a part is never taken for the whole.
Addresses pass the collector's guard (`http/addresses.py`), each redirect again. A registry's own download addresses are its API, as a
provider's are, so robots.txt is not asked; one request is made at a time.

Range requests are those of RFC 9110, section 14: 206 with the Content-Range that was asked for continues, 200 starts over.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin

import httpx2

from hf_bones.collect.download.listing import DownloadError, RemoteFile
from hf_bones.collect.http.addresses import AddressRefusedError, UnresolvableError
from hf_bones.collect.http.fetch import check_url
from hf_bones.collect.http.web import MAX_REDIRECTS, RETRIED_STATUS, header_number, retry_after_seconds
from hf_bones.collect.reasons import FetchRefusedError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How long a file is tried: `attempts` in a row that bring less than `progress` bytes, with waits from `first_wait` s, doubled up to a
    minute. A host that asks for more than `longest_wait` s ends the run. Slower than `slowest` bytes/s over `window` s is a failed attempt.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 300.0
    window: float = 60.0
    slowest: float = 1024.0
    progress: int = 1 << 20


@dataclass(frozen=True)
class Arrived:
    """A file that is there whole: its SHA-256, where its bytes came from in the end, and whether a checksum of the registry was met."""

    sha256: str
    url: str
    verified: bool


class _PassingError(Exception):
    """An attempt that failed for something that may pass. `wait` is what the host asks for, s."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _UselessAddressError(Exception):
    """An address that will not give the file, however often it is asked."""


def part_path(folder: Path, file: RemoteFile) -> Path:
    """Where the bytes of a file gather until it is whole: beside its place, hidden."""
    name = PurePosixPath(file.name)
    known_by = file.checksum.partition(":")[2] or hashlib.sha256(f"{file.name} {file.size} {file.urls[0]}".encode()).hexdigest()
    return folder / name.parent / f".{name.name}.{known_by[:12]}.part"


async def fetch_file(
    client: httpx2.AsyncClient, file: RemoteFile, folder: Path, patience: Patience, tell: Callable[[int], None] = lambda size: None
) -> Arrived:
    """Brings `file` into `folder`, going on from what an earlier run left of it. `tell` gets the number of bytes there are, as they come.

    Raises `DownloadError` naming file and address where none gives it, or where its checksum is not the registry's twice over.
    """
    whole, part = folder / file.name, part_path(folder, file)
    if whole.is_file() and whole.stat().st_size == file.size:  # an earlier run was killed before it could say so
        problem, sha256 = _compare(whole, file)
        if not problem:
            return Arrived(sha256, file.urls[0], bool(file.checksum))
    part.parent.mkdir(parents=True, exist_ok=True)
    continued = part.exists()
    url = await _gather(client, file, part, patience, tell)
    problem, sha256 = _compare(part, file)
    if problem and continued:  # the part may have been from other bytes than these
        part.unlink()
        url = await _gather(client, file, part, patience, tell)
        problem, sha256 = _compare(part, file)
    if problem:
        part.unlink()
        raise DownloadError(f"{url}: {problem}. What came was deleted: run the command again, and tell the registry if it stays so")
    part.replace(whole)
    return Arrived(sha256, url, bool(file.checksum))


async def _gather(client: httpx2.AsyncClient, file: RemoteFile, part: Path, patience: Patience, tell: Callable[[int], None]) -> str:
    """Fills the part file up to the size of the file; the address that the last bytes came from."""
    part.touch()
    if part.stat().st_size > file.size:
        part.unlink()
        part.touch()
    addresses, useless, failures, url = list(file.urls), [], 0, file.urls[0]
    while True:
        had = part.stat().st_size
        tell(had)
        if had == file.size:
            return url
        try:
            url = await _append(client, addresses[0], file, part, patience, tell)
        except _UselessAddressError as error:
            useless.append(str(error))
            if len(addresses) == 1:
                raise DownloadError(f"{file.name} cannot be downloaded: {'; '.join(useless)}") from error
            addresses.pop(0)
        except _PassingError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():  # Ctrl-C, at the moment of a timeout, which swallows it
                raise asyncio.CancelledError from error
            failures = 1 if part.stat().st_size - had >= patience.progress else failures + 1
            wait = error.wait if error.wait is not None else min(patience.first_wait * 2 ** (failures - 1), 60.0)
            given_up = failures >= patience.attempts or wait > patience.longest_wait
            if given_up and len(addresses) > 1:
                useless.append(f"{addresses.pop(0)}: {error}")
                failures = 0
            elif given_up:
                asks = f"; it asks to wait {error.wait:.0f} s" if error.wait is not None else ""
                kept = f"{part.stat().st_size:,} of {file.size:,} bytes are kept"
                raise DownloadError(f"{addresses[0]}: {error}{asks}. {kept}: run the same command again later to resume") from error
            else:
                await asyncio.sleep(wait)


async def _append(
    client: httpx2.AsyncClient, url: str, file: RemoteFile, part: Path, patience: Patience, tell: Callable[[int], None]
) -> str:
    """One request, over its redirects, that adds to the part file; the address that answered in the end."""
    had = part.stat().st_size
    headers = {"Range": f"bytes={had}-"} if had else {}
    for _ in range(MAX_REDIRECTS + 1):
        try:
            check_url(url)
        except FetchRefusedError as error:
            raise _UselessAddressError(error.detail) from error
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(patience.window):
                    response = await stack.enter_async_context(client.stream("GET", url, headers=headers))
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = _redirected(url, response.headers["location"])
                    continue
                _check_answer(response, url, had, file)
                await _write(response, part, file, patience, tell, keep=response.status_code == 206)
                return url
        except AddressRefusedError as error:
            raise _UselessAddressError(f"{url}: {error}. A server of your own needs --allow-private ADDRESS") from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise _UselessAddressError(f"{url}: {error}") from error
        except (httpx2.HTTPError, httpx2.StreamError, UnresolvableError) as error:
            raise _PassingError(f"{type(error).__name__} {error}".rstrip()) from error
        except TimeoutError as error:
            raise _PassingError(f"no answer within {patience.window:g} s") from error
    raise _UselessAddressError(f"over {MAX_REDIRECTS} redirects, the last to {url}")


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _UselessAddressError(f"{url}: redirects to {location!r}: {error}") from error


def _check_answer(response: httpx2.Response, url: str, had: int, file: RemoteFile) -> None:
    """Lets an answer pass that brings the file, or the rest of it. Raises as `_append` does."""
    status = response.status_code
    if status in RETRIED_STATUS:
        raise _PassingError(f"answered {status}", retry_after_seconds(response.headers))
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
        if match is None or match[1] != str(had) or match[2] not in ("*", str(file.size)):
            given = response.headers.get("content-range", "nothing")
            raise _UselessAddressError(f"{url}: asked for the bytes from {had} of {file.size}, and was given {given!r}")
        return
    if status != 200:
        hint = " (a bot check stands before it)" if "x-amzn-waf-action" in response.headers else ""
        raise _UselessAddressError(f"{url}: answered {status}{hint}")
    length = header_number(response.headers, "content-length")
    if length is not None and length != file.size and "content-encoding" not in response.headers:
        raise _UselessAddressError(f"{url}: announces {length:,.0f} bytes, the registry says {file.size:,}")


async def _write(
    response: httpx2.Response, part: Path, file: RemoteFile, patience: Patience, tell: Callable[[int], None], *, keep: bool
) -> None:
    """Adds the body to the part file, or starts it over. Bytes as they were sent: the checksum is over those."""
    size, since, then = (part.stat().st_size if keep else 0), 0, time.monotonic()
    try:
        with part.open("ab" if keep else "wb") as stream:
            async for block in response.aiter_raw():
                size += len(block)
                since += len(block)
                if size > file.size:
                    stream.truncate(0)
                    raise _UselessAddressError(f"{response.url}: sends more than the {file.size:,} bytes that the registry states")
                stream.write(block)
                stream.flush()  # a full disk shows here, and what is written is counted right
                tell(size)
                if (seconds := time.monotonic() - then) > patience.window:
                    if since < patience.slowest * seconds:
                        raise _PassingError(f"slower than {patience.slowest:g} bytes/s")
                    since, then = 0, time.monotonic()
    except OSError as error:
        kept = f"{part.stat().st_size:,} of {file.size:,} bytes are kept"
        raise DownloadError(f"{part}: {error.strerror or error}. {kept}: make room and run the same command again to resume") from error
    if size < file.size:
        raise _PassingError(f"the connection ended after {size:,} of {file.size:,} bytes")


def _compare(part: Path, file: RemoteFile) -> tuple[str, str]:
    """What is wrong with the bytes of a part file that is full, "" if nothing is; and their SHA-256."""
    algorithm, _, wanted = file.checksum.partition(":")
    sha256 = hashlib.sha256()
    other = hashlib.new(algorithm, usedforsecurity=False) if algorithm not in ("", "sha256") else sha256
    with part.open("rb") as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            if other is not sha256:
                other.update(block)
    found = other.hexdigest()
    problem = f"{file.name} has the {algorithm} {found}, the registry states {wanted}" if wanted and found != wanted else ""
    return problem, sha256.hexdigest()
