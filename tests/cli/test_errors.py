"""Which exit code an error ends a command with. Run: pytest tests/cli/test_errors.py"""

import errno
import sqlite3

import filelock
import pytest
import typer
from typer.testing import CliRunner

from hf_bones.cli.commands import Root, command
from hf_bones.cli.errors import exit_code
from hf_bones.training.errors import DivergedError


class LocalEntryNotFoundError(FileNotFoundError):
    """Stands for huggingface_hub's error of that name."""


class RepositoryNotFoundError(OSError):
    """Likewise."""


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a wrong value"), 2),
        (FileNotFoundError("no such file"), 2),
        (PermissionError(errno.EACCES, "denied"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (caused(ValueError("cannot write to the disk"), OSError(errno.ENOSPC, "No space left")), 1),
        (caused(ValueError("in the way"), NotADirectoryError(errno.ENOTDIR, "Not a directory")), 2),
        (ConnectionError("no network"), 1),
        (TimeoutError("no answer"), 1),
        (caused(ValueError("a run is collecting"), filelock.Timeout("a.lock")), 2),
        (LocalEntryNotFoundError("cannot be reached"), 1),
        (caused(ValueError("no checkpoint"), LocalEntryNotFoundError("cannot be reached")), 1),
        (caused(ValueError("no such model"), RepositoryNotFoundError("404")), 2),
        (DivergedError("step 3"), 1),
        (sqlite3.OperationalError("database or disk is full"), 1),
        (sqlite3.OperationalError("no such column: a"), None),
        (KeyError("a bug"), None),
        (RuntimeError("a bug"), None),
    ],
)
def test_the_code_says_whose_fault_it_is(error, code):
    assert exit_code(error) == code


def app_that_raises(error):
    def fail() -> None:
        """Fails."""
        raise error

    def other() -> None:
        """Does nothing."""

    app = typer.Typer(cls=Root, rich_markup_mode=None, pretty_exceptions_enable=False)
    command(app, fail)
    command(app, other)
    return app


def test_an_error_is_one_line_on_stderr_and_a_bug_keeps_its_trace():
    done = CliRunner().invoke(app_that_raises(OSError(errno.ENOSPC, "No space left on device", "a.png")), ["fail", "--json"])
    assert done.exit_code == 1 and done.stderr == "error: a.png: No space left on device\n" and not done.stdout
    done = CliRunner().invoke(app_that_raises(KeyboardInterrupt()), ["fail"])
    assert done.exit_code == 130 and "stopped" in done.stderr
    assert isinstance(CliRunner().invoke(app_that_raises(KeyError("a bug")), ["fail"]).exception, KeyError)
