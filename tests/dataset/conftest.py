"""What the tests of building share."""

from pathlib import Path

import datasets
import pytest
from small_films import write_films, write_manifest


@pytest.fixture
def no_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`load_dataset` writes its copy here, not into the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder per label, six films each."""
    return write_films(tmp_path)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A table with given splits, copies, boxes and a row marked unused, and its films."""
    return write_manifest(tmp_path)
