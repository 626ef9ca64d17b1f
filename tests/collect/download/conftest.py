import pytest

from hf_bones.collect.download import command


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Registries on loopback need no second between two requests."""
    monkeypatch.setattr(command, "PAUSE", 0.0)
