"""Small collections under review."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_review import TWO_PAGES, small_review
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hf_bones.app.review.page import app_kwargs
from hf_bones.app.review.session import Review
from hf_bones.app.same_origin import guard
from hf_bones.dataset.subject import open_subject
from hf_bones.labels import THREE_CLASS


@pytest.fixture
def hashes(tmp_path):
    return small_review(tmp_path)


@pytest.fixture
def review(tmp_path, hashes):
    with open_subject(tmp_path) as subject:
        yield Review(subject, THREE_CLASS)


@pytest.fixture
def client(review):
    """A browser's way to the pictures."""
    return TestClient(Starlette(**app_kwargs(review), middleware=[guard()]), base_url="http://127.0.0.1:7860")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_review(tmp_path / "films", TWO_PAGES)
    return tmp_path / "films"
