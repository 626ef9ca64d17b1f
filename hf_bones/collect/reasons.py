"""Why a URL was not collected: the reasons beside those for which an image is refused (`refusals.Refusal`). The manifest holds these
words."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a URL: `fetches.state` in the manifest."""

    WAITING = "waiting"
    STORED = "stored"
    REFUSED = "refused"  # for a reason that will stay
    FAILED = "failed"  # for one that may pass: --retry-failed asks again


class FetchReason(StrEnum):
    """Reasons of the fetcher. The first group stays, the second may pass."""

    LICENCE = "licence"
    FORGOTTEN = "forgotten"
    BAD_URL = "bad_url"
    PRIVATE_ADDRESS = "private_address"
    ROBOTS_TXT = "robots_txt"
    X_ROBOTS_TAG = "x_robots_tag"
    TDM_RESERVATION = "tdm_reservation"
    HTTP_STATUS = "http_status"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    FILE_TOO_LARGE = "file_too_large"
    CONTENT_ENCODING = "content_encoding"
    HASH_MISMATCH = "hash_mismatch"
    DECODER_DIED = "decoder_died"

    ROBOTS_UNREACHABLE = "robots_unreachable"
    UNRESOLVABLE = "unresolvable"
    CONNECTION = "connection"
    INCOMPLETE = "incomplete"
    TOO_SLOW = "too_slow"
    BAD_ANSWER = "bad_answer"  # one that nothing was prepared for
    LOCAL_SOURCE = "local_source"


class FetchRefusedError(Exception):
    """A URL that will not be collected. `status` is the HTTP status, where it came to that."""

    def __init__(self, reason: FetchReason, detail: str, *, status: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.status = status


class FetchFailedError(Exception):
    """An attempt that failed for something that may pass.

    `retry_after` is the wait that the host asks for, s; `body` what had come before the connection broke. `tried_enough`: there is no use
    in another attempt during this run.
    """

    def __init__(
        self,
        reason: FetchReason,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        body: bytes = b"",
        tried_enough: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.body = body
        self.tried_enough = tried_enough


class HostAsksToWaitError(Exception):
    """A host asks for a longer pause than a run waits for: its URLs stay waiting, for a later run."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__(f"{host} asks to wait {seconds:.0f} s")
        self.host = host
        self.seconds = seconds
