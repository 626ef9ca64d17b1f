"""What the tests of arrays share."""

import pytest
from small_cache import FILMS, write
from small_films import build, rows_of


@pytest.fixture
def films(tmp_path):
    build(rows_of(FILMS), tmp_path / "dataset")
    write(tmp_path / "dataset")
    return tmp_path / "dataset"
