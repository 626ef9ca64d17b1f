"""record.json: what a run was made of and what came out, so that it can be repeated and checked.

Layout (schema 1): `recipe`, `data` (name, hashes, counts, licences, whether all of it is drawn), `environment` (versions, hardware),
`metrics` by split, `base_model`, `started`, `finished`, `test_looks`; `drawn_films` where `scripts/judge_drawn.py` counted them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hf_bones.config.loading import parse_json

SCHEMA_VERSION = 1
PACKAGES = ("hf-bones", "torch", "transformers", "datasets", "accelerate", "huggingface_hub", "kornia", "scikit-learn", "numpy", "pillow")

_command_line: ContextVar[str] = ContextVar("command_line", default="")
_typed_words: ContextVar[tuple[str, ...]] = ContextVar("typed_words", default=())
_NO_CHARACTER = re.compile("[\\ud800-\\udfff]")
_SECRET = re.compile(r"(?<=://)[^/@\s]+(?=@)|\bhf_[A-Za-z0-9]{16,}|(?<=token=)[^&\s]+|(?<=password=)[^&\s]+")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def environment() -> dict[str, Any]:
    """Versions, platform and hardware. Names the GPU only where torch is already imported, so that it stays cheap."""
    import sys

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return found


def public_name(place: str | Path) -> str:
    """A model's or dataset's name for what others read: of a folder or an absolute path only its last part, anything else as it is."""
    path = Path(place).expanduser()
    return path.resolve().name if path.is_absolute() or path.is_dir() else str(place)


@contextmanager
def stating_command(words: Sequence[str]) -> Iterator[None]:
    """While it lasts, `command_line` is `hf-bones` with these words, as `public_words` has them."""
    before, typed = _command_line.set(shlex.join(["hf-bones", *public_words(words)])), _typed_words.set(tuple(words))
    try:
        yield
    finally:
        _command_line.reset(before)
        _typed_words.reset(typed)


def command_line() -> str:
    """The command that runs, as it was typed, for reports and records; "" where no `hf-bones` command runs."""
    return _command_line.get()


def typed_command(*more: str, without: Sequence[str] = ()) -> str:
    """The command that runs, as it was typed, with `more` words at its end and `without` some: what a message advises to run. "" where no
    `hf-bones` command runs. It may name paths of this machine, so it goes to whoever typed it and into no file."""
    words = [word for word in _typed_words.get() if word not in without]
    return shlex.join(["hf-bones", *words, *more]) if words else ""


def public_words(words: Iterable[str]) -> list[str]:
    """The words of a command for what others read. Absolute paths in the working directory become relative to it, any other absolute path
    keeps its last part alone; tokens and passwords become `***`. Everything else stays as it was typed."""
    return [_SECRET.sub("***", _public_word(word)) for word in words]


def _public_word(word: str) -> str:
    before, separator, text = word.rpartition("=")  # --out=/data/x, NAME=/data/x
    path = Path(text)
    if not path.is_absolute():
        return word
    here = Path.cwd()
    if here != Path(here.anchor) and path.is_relative_to(here):
        return f"{before}{separator}{path.relative_to(here)}"
    return f"{before}{separator}{path.name or text}"


def _version(package: str) -> str | None:
    from importlib import metadata  # takes long to import, for a command that needs no version

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_rows(rows: Iterable[Iterable[object]]) -> str:
    """Hex SHA-256 of a table, independent of row order: each row is joined with tabs, rows are sorted."""
    lines = sorted("\t".join(str(value) for value in row) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes JSON in one step (temporary file, then rename); NaN becomes null, so that every JSON reader can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json_text(data) + "\n"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        stream.write(text)
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(path)


def json_text(data: Any) -> str:
    """JSON of dataclasses, numpy values, paths and plain data; NaN and infinities become null, so that every JSON reader can read it."""
    text = json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False)
    # Bytes of file names that are no UTF-8 would make the document none: as escapes they can be read, and name the file still.
    return text if text.isascii() else _NO_CHARACTER.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises ValueError naming the file when it holds anything else."""
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no UTF-8, no JSON
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return data


def _plain(value: Any) -> Any:
    """JSON-safe data: dataclasses become mappings, numpy values numbers and lists, paths text, NaN and infinities null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key.name: _plain(getattr(value, key.name)) for key in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
