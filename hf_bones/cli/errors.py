"""Exit codes and one-line messages: what a command ends with where it could not do its work.

0 done; 1 the work failed (full disk, no network, training diverged), or found what it is there to find; 2 wrong use; 3 `--strict`, and
something could not be read; 130 interrupted. What is none of these is a fault of hf_bones: it is one line too, and its trace is kept in a
file. HF_BONES_DEBUG=1 shows every trace.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from hf_bones.system import causes, disk_is_full, refusal

FAILED, WRONG_USE, STRICT, INTERRUPTED = 1, 2, 3, 130
DEBUG_VARIABLE = "HF_BONES_DEBUG"

_WRONG_PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
_WRONG_NUMBERS = (errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.EADDRINUSE, errno.EADDRNOTAVAIL)
# Names, since their libraries take long to import and need not be loaded. The first ones are wrong use though they are HTTP or OS errors.
_NOT_ON_THE_HUB = {"RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError"}
_NO_NETWORK = {"HTTPError", "HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}
# A damaged or foreign file, as libraries say it that raise neither ValueError nor OSError.
_DAMAGED = {"BadZipFile", "EOFError", "YAMLError", "SafetensorError", "DatasetsError", "UnpicklingError", "ReadError", "InvalidURL"}
_NO_DATABASE = ("database or disk is full", "disk I/O error", "database is locked", "readonly database", "unable to open database file")


_RESUMED_BY = {
    **dict.fromkeys(("train", "distill", "compare", "resolution", "collect", "download", "cache"), "run the same command again to resume"),
    "predict": "run it again with --resume to go on with its CSV file",
}
"""Command → how it is resumed, for those that keep what they have done."""


@contextmanager
def plain_errors(command: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Ends the program with a line on stderr and its exit code, whoever is at fault.

    `command` gives the name of the command that runs, once it is known.
    """
    if _wants_traces():
        logging.getLogger("hf_bones").setLevel(logging.DEBUG)
        logging.basicConfig(format="%(name)s: %(message)s")
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("\n" + "; ".join(filter(None, ["stopped", _RESUMED_BY.get(command() or "")])), err=True)
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError:
        raise  # `hf-bones … | head`: Typer ends that quietly
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("click", "typer"):
            raise  # Typer's own: a wrong option, or the end of the command
        code = FAILED if _is_nested_data(error) else exit_code(error)
        if _wants_traces():
            traceback.print_exception(error)
        again = _RESUMED_BY.get(command() or "", "run the same command again")
        line = _fault(error) if code is None else _message(error, again)
        # On a line of its own, below a progress bar that stands.
        typer.echo(("\n" if sys.stderr.isatty() else "") + f"error: {line}", err=True)
        raise typer.Exit(FAILED if code is None else code) from error


def exit_code(error: BaseException) -> int | None:
    """The code that an exception ends the program with, by what it is and by what caused it; None for a fault of hf_bones."""
    from hf_bones.training.errors import RunEndedError

    if isinstance(error, RunEndedError) or disk_is_full(error) or isinstance(error, MemoryError):
        return FAILED
    if isinstance(error, sqlite3.Error):
        damaged = type(error) is sqlite3.DatabaseError  # "file is not a database", "database disk image is malformed"
        return FAILED if damaged or any(words in str(error) for words in _NO_DATABASE) else None
    if _names(error) & _DAMAGED:
        return FAILED
    if not isinstance(error, (ValueError, OSError)) and not _names(error) & _NO_NETWORK:
        return None
    cause: BaseException | None = error
    while cause is not None:
        names = _names(cause)
        if names & _NOT_ON_THE_HUB:
            return WRONG_USE
        late = isinstance(cause, TimeoutError) and "Timeout" not in names  # filelock's: another run is at work
        if names & _NO_NETWORK or late or isinstance(cause, ConnectionError):
            return FAILED
        if isinstance(cause, _WRONG_PATHS) or (isinstance(cause, OSError) and cause.errno in _WRONG_NUMBERS):
            return WRONG_USE
        if isinstance(cause, OSError) and cause.errno is not None:
            return FAILED
        cause = cause.__cause__
    return FAILED if isinstance(error, OSError) else WRONG_USE


def _wants_traces() -> bool:
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _message(error: Exception, again: str) -> str:
    """The error with what to do, where the system or a library does not say: on one line, unless hf_bones itself wrote a list."""
    if _is_nested_data(error):
        return "a file of YAML or JSON that was read is nested too deeply, and was not written by this program: look at what was given"
    if _is_ours(error) and str(error):
        return str(error)
    said = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
    said = refusal(error) if isinstance(error, OSError) else said
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        said = next((refusal(each) for each in causes(error) if isinstance(each, OSError) and each.filename), said)
    if disk_is_full(error) and not _advises(said):
        said = f"the disk takes no more ({said[:300]}): make room"
    if disk_is_full(error) and again not in said:
        return f"{said}; then {again}"
    return f"{said}: the file is damaged, or of another kind" if _names(error) & _DAMAGED else said


def _is_nested_data(error: BaseException) -> bool:
    """Whether a parser gave up on brackets within brackets: a fault of the file, where any other such error is one of the program."""
    frames = traceback.extract_tb(error.__traceback__)[-40:] if isinstance(error, RecursionError) else []
    return any(Path(frame.filename).parent.name in ("json", "yaml") for frame in frames)


def _is_ours(error: BaseException) -> bool:
    """Whether the message was written here, and says what to do: an error of this package, or a plain one that its code raises in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return False
    frames = traceback.extract_tb(error.__traceback__)
    # A library in C leaves no frame of its own: then the last line is ours, but raises nothing.
    last = frames[-1] if frames else None
    raised_here = last is not None and "raise" in (last.line or "") and Path(last.filename).is_relative_to(Path(__file__).parents[1])
    return type(error).__module__.startswith("hf_bones.") or raised_here


def _advises(said: str) -> bool:
    return "make room" in said or "ulimit" in said


def _fault(error: BaseException) -> str:
    """What nobody was prepared for: where it happened, and where its trace is."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}hf_bones{os.sep}" in frame.filename] or list(frames)
    place = f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
    said = " ".join(str(error).split())[:300]
    kept = "HF_BONES_DEBUG=1 shows its trace"
    with contextlib.suppress(OSError):
        file = Path(tempfile.gettempdir(), f"hf-bones-error-{os.getpid()}.txt")
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
        kept = f"its trace is in {file} (HF_BONES_DEBUG=1 shows it)"
    return f"{type(error).__name__}: {said}{place}. hf_bones was not prepared for this: {kept}; please report it"
