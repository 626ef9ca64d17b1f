"""What the system refuses, in words that say what to do; and whether a place can be written to, asked before work starts.

Not here: what a command ends with (`cli/errors.py`), what of a network's answer (`reach.py`).
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ROOM = "make room, or name a place on another disk"
_ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: f"your share of this disk is used up: {_ROOM}",
    errno.EFBIG: "larger than this system lets a file become: see `ulimit -f`, or name a place on another disk",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name a place on another disk",
    errno.ENOTDIR: "a file lies where a folder is wanted",
    errno.EISDIR: "a folder lies where a file is wanted",
    errno.ELOOP: "a link leads back to itself: remove it, or name another place",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: "raise the limit: `ulimit -n 65536`",
    errno.ENFILE: "other programs hold too many files open",
    errno.EADDRINUSE: "another program listens there: name another port with --port",
    errno.EADDRNOTAVAIL: "this machine has no such address: name another with --host",
    errno.EIO: "the disk or the network folder is at fault: look at it before the next try",
    errno.ESTALE: "the network folder has gone away: mount it again",
    errno.ENETUNREACH: "check the network",
    errno.EHOSTUNREACH: "check the network",
    errno.ECONNREFUSED: "nothing listens there",
    errno.ENOMEM: "the system has no memory left: end other programs, or take smaller batches",
}
# What libraries make of a full disk where they do not hand on the system's number: safetensors, Arrow, numpy, torch's archive writer.
_FULL = re.compile(
    r"no space left on device|disk quota exceeded|file too large|\(os error (?:27|28|122)\)|\d+ requested and \d+ written"
    r"|PytorchStreamWriter failed|inline_container\.cc.*unexpected pos|file write failed|database or disk is full",
    re.IGNORECASE | re.DOTALL,
)
_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotWritableError(ValueError):
    """A place that cannot be written to; the message names it and says why. Its cause is what the system answered."""


def refusal(error: OSError) -> str:
    """An error of the system on one line: the file that it concerns, what the system says, and what to do."""
    said = error.strerror or " ".join(str(error).split()) or type(error).__name__
    said = f"{_name(error.filename)}: {said}" if error.filename not in (None, "") and error.strerror else said
    advice = _ADVICE.get(error.errno or 0, _ROOM if _FULL.search(said) else "")
    return f"{said} ({advice})" if advice else said


def _name(file: object) -> str:
    return os.fsdecode(file) if isinstance(file, (bytes, str)) else str(file)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, the error first."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that the disk takes no more. Libraries say so in many ways."""
    return any(
        (isinstance(each, OSError) and each.errno in _FULL_NUMBERS) or (isinstance(each, Exception) and bool(_FULL.search(str(each))))
        for each in causes(error)
    )


def require_writable(path: Path) -> None:
    """Makes sure that `path`, a file or a folder that may not be there yet, can be written. Leaves nothing behind.

    Raises `NotWritableError` for a folder that this user may not write to, a file in the way of one, a full disk.
    """
    folder = path
    try:
        if path.is_file():
            with path.open("ab"):
                return
        folder = nearest_folder(path)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"\0" * 4096)
    except OSError as error:
        named = Path(_name(error.filename or ""))
        at = folder if not named.name or named.name.startswith(tempfile.gettempprefix()) else named
        where = "" if at == path else f"{at}: "
        advice = _ADVICE.get(error.errno or 0, "name another place")
        raise NotWritableError(f"{path} cannot be written: {where}{error.strerror or error} ({advice})") from error


def nearest_folder(path: Path) -> Path:
    """The folder that `path` is, or the nearest above it that is there. Raises OSError where a file or a loop of links is in the way."""
    for place in (path, *path.parents):
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except FileNotFoundError:
            continue
        if not is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        return place
    return Path()
