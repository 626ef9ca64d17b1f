import pytest
from registries import make_quick


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    make_quick(monkeypatch)
