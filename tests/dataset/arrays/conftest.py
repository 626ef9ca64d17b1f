"""What the tests of arrays share."""

import pytest
from small_cache import cached_films


@pytest.fixture
def films(tmp_path):
    return cached_films(tmp_path / "dataset")
