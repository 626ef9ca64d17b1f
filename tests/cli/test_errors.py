"""Which exit code an error ends a command with. Run: pytest tests/cli/test_errors.py"""

import errno
import sqlite3
import tempfile
import zipfile

import filelock
import pytest
import typer
from typer.testing import CliRunner

from hf_bones.cli.commands import Root, command
from hf_bones.cli.errors import DEBUG_VARIABLE, exit_code
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.training.errors import DiskFullError, DivergedError


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
        (sqlite3.DatabaseError("file is not a database"), 1),
        (OSError(errno.EROFS, "Read-only file system"), 2),
        (OSError(errno.EADDRINUSE, "Address already in use"), 2),
        (OSError(errno.ELOOP, "Too many levels of symbolic links"), 2),
        (OSError("5000 requested and 12 written"), 1),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), 1),
        (MemoryError(), 1),
        (zipfile.BadZipFile("File is not a zip file"), 1),
        (EOFError("ended early"), 1),
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


def failed(error):
    return CliRunner().invoke(app_that_raises(error), ["fail", "--json"])


def test_an_error_is_one_line_on_stderr_that_says_what_to_do():
    done = failed(OSError(errno.ENOSPC, "No space left on device", "a.png"))
    line = "a.png: No space left on device (make room, or name a place on another disk); then run the same command again"
    assert done.exit_code == 1 and done.stderr == f"error: {line}\n" and not done.stdout
    done = CliRunner().invoke(app_that_raises(KeyboardInterrupt()), ["fail"])
    assert done.exit_code == 130 and "stopped" in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "films"), "films: Permission denied (change its permissions"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "name another port with --port"),
        (OSError("5000 requested and 12 written"), "make room"),
        (RuntimeError("inline_container.cc:672 . unexpected pos 576\n vs 534"), "the disk takes no more"),
        (zipfile.BadZipFile("File is not a zip file"), "the file is damaged, or of another kind"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_whatever_the_system_refuses_is_one_line(error, words):
    done = failed(error)
    assert words in done.stderr and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def test_what_an_error_of_this_package_advises_is_not_said_twice():
    error = caused(
        DiskFullError("run: the disk takes no more. Make room, then the same command resumes"), OSError(errno.ENOSPC, "No space")
    )
    assert failed(error).stderr == f"error: {error}\n"


def test_a_list_that_this_package_writes_keeps_its_lines():
    done = failed(SourceError("2 rows have labels that stand for no class:\n  1 × 'a'\n  1 × 'b'"))
    assert len(done.stderr.splitlines()) == 3


def test_what_nobody_was_prepared_for_is_one_line_too_and_its_trace_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)
    done = failed(KeyError("a bug"))
    [kept] = tmp_path.iterdir()
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: KeyError: 'a bug' in ") and str(kept) in done.stderr
    assert "Traceback" in kept.read_text() and "raise error" in kept.read_text()


def test_traces_are_shown_to_whoever_asks(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    for error in (KeyError("a bug"), ValueError("a wrong value")):
        done = failed(error)
        assert "Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith("error: ")
