"""Asking a provider's API: in series, under our name, with pauses, retries and a cap on what it may answer.

`Api` is what providers are given. Its calls block; the requests run through the same guarded client as downloads (`web.py`), on an event
loop of their own.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import stamina
from anyio.from_thread import BlockingPortal, start_blocking_portal

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.http.addresses import AddressGuard, AddressRefusedError, UnresolvableError
from hf_bones.collect.http.web import RETRIED_STATUS, TooLargeError, make_client, read_body, retry_after_seconds

MAX_ANSWER_BYTES = 32 * 2**20
_PATIENT, _IMPATIENT = 15.0, 5.0  # s for a connection


class Api:
    """A blocking client for JSON, XML and form APIs. One for all providers; each host is asked in series, `pause` seconds apart.

    `attempts` is how often a request is made at most; `first_wait` the first back-off in seconds, doubled each time; a wait that the
    provider asks for (Retry-After) is kept up to `longest_wait` seconds, over that the call raises at once. `timeout` is for one whole
    request, in seconds. Where `patient` is false a host that cannot be reached is not tried again, nor waited for over 5 s. Use as a
    context manager.
    """

    def __init__(
        self,
        user_agent: str,
        guard: AddressGuard,
        *,
        attempts: int = 4,
        first_wait: float = 1.0,
        longest_wait: float = 120.0,
        timeout: float = 60.0,
        pause: float = 1.0,
        patient: bool = True,
    ) -> None:
        self.user_agent = user_agent
        self._guard = guard
        self._attempts, self._first_wait, self._longest_wait = attempts, first_wait, longest_wait
        self._timeout, self._pause, self._patient = timeout, pause, patient
        self._answered, self._unreached = False, set[str]()
        self._ready: dict[str, float] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._portal_manager = start_blocking_portal(backend="asyncio")
        self._portal: BlockingPortal
        self._client: httpx2.AsyncClient

    def __enter__(self) -> Self:
        self._portal = self._portal_manager.__enter__()
        self._client = self._portal.call(make_client, self._guard, self.user_agent, _PATIENT if self._patient else _IMPATIENT)
        return self

    @property
    def lacks_network(self) -> bool:
        """Whether two hosts or more could not be reached, and none ever answered."""
        return not self._answered and len(self._unreached) >= 2

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._portal.call(self._client.aclose)
        self._portal_manager.__exit__(kind, error, trace)

    def get_json(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        pause: float | None = None,
        answers: tuple[int, ...] = (200,),
    ) -> Any:
        """The decoded JSON of a GET. `pause` overrides the pause between requests to this host, s; a status outside `answers` raises.

        Raises `ProviderError` for a refusal, a limit, an unreachable host, an answer that is not JSON or is over 32 MiB.
        """
        text = self._request("GET", url, params=params, headers=headers, pause=pause, answers=answers)
        return _decoded(text, url)

    def get_text(
        self, url: str, params: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None, pause: float | None = None
    ) -> str:
        """The body of a GET as text. Raises as `get_json` does."""
        return self._request("GET", url, params=params, headers=headers, pause=pause, answers=(200,)).decode("utf-8", "replace")

    def post_form(self, url: str, form: Mapping[str, str], *, pause: float | None = None) -> Any:
        """The decoded JSON of a form POST (OAuth2 tokens). The form is never part of an error. Raises as `get_json` does."""
        return _decoded(self._request("POST", url, form=form, pause=pause, answers=(200,)), url)

    def _request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        pause: float | None = None,
        answers: tuple[int, ...] = (200,),
    ) -> bytes:
        host = urlsplit(url).netloc
        with self._lock:
            lock = self._locks.setdefault(host, threading.Lock())
        for attempt in stamina.retry_context(
            on=self._wait_before_retry, attempts=self._attempts, timeout=None, wait_initial=self._first_wait, wait_max=60.0
        ):
            with attempt, lock:
                time.sleep(max(0.0, self._ready.get(host, 0.0) - time.monotonic()))
                try:
                    return self._portal.call(self._once, method, url, params, headers, form, answers)
                finally:
                    self._ready[host] = time.monotonic() + (self._pause if pause is None else pause)
        raise AssertionError("the retry loop ends by returning or raising")

    def _wait_before_retry(self, error: Exception) -> bool | float:
        if not isinstance(error, _PassingError) or (isinstance(error, HostUnreachedError) and not self._patient):
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= self._longest_wait else False

    async def _once(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        answers: tuple[int, ...],
    ) -> bytes:
        where = f"{method} {url}"
        try:
            request = self._client.stream(method, url, params=params, headers=headers, data=form, follow_redirects=method == "GET")
            async with asyncio.timeout(self._timeout), request as response:
                self._answered = True
                status = response.status_code
                if status in answers:
                    return await read_body(response, MAX_ANSWER_BYTES)
                wait = retry_after_seconds(response.headers)
                start = (await read_body(response, MAX_ANSWER_BYTES))[:300].decode("utf-8", "replace")
        except AddressRefusedError as error:
            raise ProviderError(f"{where}: {error}. A server of your own needs --allow-private ADDRESS") from error
        except UnresolvableError as error:
            self._unreached.add(urlsplit(url).netloc)
            raise HostUnreachedError(f"{where}: {error}") from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            self._unreached.add(urlsplit(url).netloc)
            raise HostUnreachedError(f"{where}: {type(error).__name__} {error}".rstrip()) from error
        except TooLargeError as error:
            raise ProviderError(f"{where}: the answer is over {MAX_ANSWER_BYTES} bytes") from error
        except TimeoutError as error:
            raise _PassingError(f"{where}: no answer within {self._timeout:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            kind = _PassingError if isinstance(error, httpx2.TransportError) else ProviderError
            raise kind(f"{where}: {type(error).__name__} {error}".rstrip()) from error
        except ValueError as error:  # a content encoding or a header that nobody was prepared for
            raise ProviderError(f"{where}: the answer cannot be read: {error}") from error
        message = (
            f"{where}: answered {status}" + (f", asks to wait {wait:g} s" if wait is not None else "") + f": {' '.join(start.split())}"
        )
        if status in RETRIED_STATUS:
            raise _PassingError(message, status=status, retry_after=wait)
        raise ProviderError(message, status=status)


class _PassingError(ProviderError):
    """An error that may be gone the next time."""


class HostUnreachedError(_PassingError):
    """A host that has no address, or does not let itself be connected to."""


def _decoded(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderError(f"{url}: the answer is not JSON ({error}): {body[:80]!r}") from error
