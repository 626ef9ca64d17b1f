"""What the tests of hub share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from saved_run import RECORD
from tiny import telling_checkpoint

from hf_bones.curation.duplicates.seen_films import seen_films, write_seen_films
from hf_bones.hub.card import write_card
from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.labels import THREE_CLASS
from hf_bones.record import write_json


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with decision, record and card, and files that must never leave the machine."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    telling_checkpoint(folder)
    write_decision(DecisionRule(2.0, THREE_CLASS, 56, fitted_on={"n": 18}), folder)
    write_json(folder / "record.json", RECORD)
    write_card(folder)
    write_seen_films(seen_films(["ab" * 32, "cd" * 32], [False, True], [None, None]), folder / "seen.npz")
    Image.new("L", (8, 8)).save(folder / "roc.png")
    (folder / "worst_errors.html").write_text("pictures of patients")
    Image.new("L", (8, 8)).save(folder / "worst_errors.png")
    (folder / "run.json").write_text("{}")
    (folder / "checkpoint-2").mkdir()
    (folder / "checkpoint-2" / "optimizer.pt").write_bytes(b"pickle")
    return folder


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy of `saved` to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "run"))
