"""What the demo is started with, from options or the environment: which models, and who may log in. No gradio here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hf_bones.app.demo.models.shelf import ModelEntry
from hf_bones.inference.checkpoint import BUNDLED, HUB_ID

MODELS, AUTH = "HF_BONES_MODEL", "HF_BONES_AUTH"  # variables of the environment


def models_named(names: Sequence[str] | None = None, revision: str | None = None) -> list[ModelEntry]:
    """The models that options name, else HF_BONES_MODEL (several with commas between them), else the bundled one.

    A Hub id may have its revision behind an @. Raises ValueError where `revision` is given for several models.
    """
    wanted = [name.strip() for name in names or os.environ.get(MODELS, "").split(",") if name.strip()] or [BUNDLED]
    if revision is not None and len(wanted) > 1:
        raise ValueError(f"--revision is for one model, but there are {len(wanted)}; write {wanted[0]}@{revision} instead")
    return [_entry(name, revision) for name in wanted]


def _entry(name: str, revision: str | None) -> ModelEntry:
    model, at, own = name.rpartition("@")
    if at and own and HUB_ID.fullmatch(model) and not Path(name).exists():
        if revision is not None:
            raise ValueError(f"--revision {revision} and {name}: name one revision")
        return ModelEntry(model, own)
    return ModelEntry(name, revision)


def log_in(given: str | None = None, file: Path | None = None) -> tuple[str, str] | None:
    """User and password, as USER:PASSWORD from the option, a file, or HF_BONES_AUTH; None where there is none of these.

    Raises ValueError, which never holds the password, where it cannot be split or comes twice.
    """
    if given is not None and file is not None:
        raise ValueError("--auth and --auth-file: give one of them")
    place, text = "--auth", given
    if file is not None:
        place, text = f"--auth-file {file}", _first_line(file)
    elif given is None:
        place, text = AUTH, os.environ.get(AUTH)
    if text is None:
        return None
    user, colon, password = text.partition(":")
    if not (user.strip() and colon and password):
        raise ValueError(f"{place}: write USER:PASSWORD, with a colon between them")
    return user.strip(), password


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--auth-file {file}: cannot be read ({error}); it holds USER:PASSWORD in its first line") from error
