"""What the tests of the providers share."""

from collections.abc import Iterator

import pytest

from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.api import Api


@pytest.fixture
def api() -> Iterator[Api]:
    """The way to a server on this machine, without pauses."""
    with Api("hf_bones-tests", AddressGuard(["127.0.0.0/8", "::1"]), pause=0.0, first_wait=0.01, attempts=3) as api:
        yield api


@pytest.fixture(autouse=True)
def anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Openverse is asked without credentials, whoever runs the tests."""
    monkeypatch.delenv("OPENVERSE_CLIENT_ID", raising=False)
    monkeypatch.delenv("OPENVERSE_CLIENT_SECRET", raising=False)
