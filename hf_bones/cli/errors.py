"""What the user can mend is said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from hf_bones.training.errors import RunEndedError


@contextmanager
def plain_errors() -> Iterator[None]:
    """Prints what the user can mend as one line and exits with 2; anything else is a bug and keeps its trace."""
    try:
        yield
    except (ValueError, FileNotFoundError, FileExistsError, RunEndedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        typer.echo("\nstopped", err=True)
        raise typer.Exit(130) from error
