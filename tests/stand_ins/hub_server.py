"""A small Hub on loopback, for tests that push and pull for real through huggingface_hub.

It speaks what huggingface_hub 2.4 asks of the Hub over HTTP: repositories, branches, preupload, Git LFS, commits, trees, resolve with
redirects to a storage host of another origin. It keeps everything in memory, checks tokens and the SHA-256 of every LFS object, and has
none of the Hub's limits. It does not speak Xet, the Hub's newer transfer of large files: clients run with HF_HUB_DISABLE_XET=1, so
what goes over Xet in real life is not proven by these tests.

`hub` is a pytest fixture; huggingface_hub reads its address when it is imported, so clients run in a process of their own:

    def test_it(hub): hub.run_python("import huggingface_hub; print(huggingface_hub.whoami())")
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from hub_http import HubRequest
from hub_state import HubState
from hub_storage import StorageRequest, handler

TOKEN = "hf_loopback_writer"
USER = "ada"


class HubServer(HubState):
    """A running Hub: its state and its two HTTP servers."""

    def __init__(self) -> None:
        super().__init__({TOKEN: USER})
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler(self, kind)) for kind in (HubRequest, StorageRequest)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """Environment for a client process: this Hub, no other, with caches under `home`."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING")) and "proxy" not in key.lower()
        }
        mine = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
        return inherited | mine | quiet | ({"HF_TOKEN": token} if token else {})

    def run_python(self, code: str, home: Path, *arguments: str, token: str | None = TOKEN) -> str:
        """Runs `code` in a new Python process that knows this Hub; returns its standard output, fails with its standard error."""
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=self.environment(home, token), capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"client failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A fresh, empty Hub."""
    server = HubServer()
    yield server
    server.close()
