"""Exit codes and one-line messages: what a command ends with where it could not do its work.

0 done; 1 the work failed (full disk, no network, training diverged), or found what it is there to find; 2 wrong use; 3 `--strict`, and
something could not be read; 130 interrupted. What is none of these is a bug and keeps its trace.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

FAILED, WRONG_USE, STRICT, INTERRUPTED = 1, 2, 3, 130

_WRONG_PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
# Names, since their libraries take long to import and need not be loaded. The first ones are wrong use though they are HTTP or OS errors.
_NOT_ON_THE_HUB = {"RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError"}
_NO_NETWORK = {"HTTPError", "HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}
_NO_ROOM = ("database or disk is full", "disk I/O error", "database is locked")


_RESUMED_BY = {
    **dict.fromkeys(("train", "distill", "compare", "resolution", "collect", "download", "cache"), "run the same command again to resume"),
    "predict": "run it again with --resume to go on with its CSV file",
}
"""Command → how it is resumed, for those that keep what they have done."""


@contextmanager
def plain_errors(command: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Ends the program with a line on stderr and its exit code where the user or the machine is at fault.

    `command` gives the name of the command that runs, once it is known.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("\n" + "; ".join(filter(None, ["stopped", _RESUMED_BY.get(command() or "")])), err=True)
        raise typer.Exit(INTERRUPTED) from error
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        # On a line of its own, below a progress bar that stands.
        typer.echo(("\n" if sys.stderr.isatty() else "") + f"error: {_message(error)}", err=True)
        raise typer.Exit(code) from error


def exit_code(error: BaseException) -> int | None:
    """The code that an exception ends the program with, by what it is and by what caused it; None for a bug."""
    from hf_bones.training.errors import RunEndedError

    if isinstance(error, BrokenPipeError):
        return None  # `hf-bones … | head`: Typer ends that quietly
    if isinstance(error, RunEndedError):
        return FAILED
    if isinstance(error, sqlite3.OperationalError):
        return FAILED if _is_full(error) else None
    if not isinstance(error, (ValueError, OSError)) and not _names(error) & _NO_NETWORK:
        return None
    cause: BaseException | None = error
    while cause is not None:
        names = _names(cause)
        if names & _NOT_ON_THE_HUB:
            return WRONG_USE
        late = isinstance(cause, TimeoutError) and "Timeout" not in names  # filelock's: another run is at work
        if names & _NO_NETWORK or late or isinstance(cause, ConnectionError) or _is_full(cause):
            return FAILED
        if isinstance(cause, _WRONG_PATHS):
            return WRONG_USE
        if isinstance(cause, OSError) and cause.errno is not None:
            return FAILED
        cause = cause.__cause__
    return FAILED if isinstance(error, OSError) else WRONG_USE


def _is_full(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in _NO_ROOM)


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
