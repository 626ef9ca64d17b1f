"""What a checkpoint brings along beside its weights: card, figures, plots. Each may be missing, and each may be a stranger's.

Files of a Hub model are fetched when a page first asks for them; a prediction needs none of them.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_bones.hub.card import CARD_FILE, METRICS_FILE
from hf_bones.inference.checkpoint import BUNDLED, RECORD_FILE, find_checkpoint
from hf_bones.reach import offline_where_unreached
from hf_bones.record import read_json

AUDIT_FILE = "audit.md"
RISK_COVERAGE = "risk_coverage.png"
PLOTS = ("confusion.png", "reliability.png", "calibration.png", RISK_COVERAGE, "roc.png", "decision_curve.png")
DESCRIBING = (CARD_FILE, METRICS_FILE, AUDIT_FILE, *PLOTS)
_MOST_TEXT, _MOST_JSON, _MOST_PICTURE = 2**20, 8 * 2**20, 4 * 2**20  # bytes
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Shipped:
    """A checkpoint's folder. reached: False where the Hub could not be asked for the files that describe it, so that "missing" may only
    mean "not fetched"."""

    folder: Path
    reached: bool = True

    def text(self, file: str) -> str | None:
        """A text file; None where there is none, or it is larger than a card may be."""
        content = self._content(file, _MOST_TEXT)
        return None if content is None else content.decode("utf-8", "replace")

    def data(self, file: str) -> dict[str, Any] | None:
        """A JSON file that holds an object; None where there is none. Raises ValueError naming a damaged one."""
        if self._content(file, _MOST_JSON) is None:
            return None
        found = read_json(self.folder / file)
        if not isinstance(found, dict):
            raise ValueError(f"{file}: no object")
        return found

    def picture(self, file: str) -> str | None:
        """A PNG as an address that a page can hold; None where there is none, or it is no PNG."""
        content = self._content(file, _MOST_PICTURE)
        if content is None or not content.startswith(_PNG):
            return None
        return f"data:image/png;base64,{b64encode(content).decode()}"

    def _content(self, file: str, most: int) -> bytes | None:
        path = self.folder / file
        return path.read_bytes() if path.is_file() and path.stat().st_size <= most else None


def shipped_with(name: str, revision: str | None) -> Shipped:
    """What came with the checkpoint called `name` (`bundled`, a folder, a Hub id at `revision`), which was loaded before."""
    if name == BUNDLED or Path(name).expanduser().is_dir():
        return Shipped(find_checkpoint(name).folder)
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    folder = find_checkpoint(name, revision).folder
    try:
        with offline_where_unreached() as problem:
            return Shipped(Path(snapshot_download(name, revision=revision, allow_patterns=[*DESCRIBING, RECORD_FILE])), not problem)
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError):
        return Shipped(folder, reached=False)
