"""Does the Space that `hf-bones space push` uploads start where nothing is installed, and answer as the package does here?

    python scripts/bench/space.py            # a new venv, its requirements from the index, the package from its wheel alone
    python scripts/bench/space.py --quick    # with the libraries of this environment

Not measured: the platform itself. What is started is what is uploaded: tests/hub/test_space.py compares the two, file by file.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradio_client import Client, handle_file
from harness import MB, Bar, arguments, bar, draw_jpegs, work_folder, write_result

from hf_bones.hub.space import write_space
from hf_bones.inference.predictor import BonePredictor
from hf_bones.record import sha256_rows

FILMS = 4
PATIENCE = 300  # s


def main() -> None:
    parser = arguments(__doc__, needs_data=False)
    parser.add_argument("--work", type=Path, help="where to make the venv, which stays; by default a temporary folder")
    given = parser.parse_args()
    with work_folder(given.work) as work:
        films = draw_jpegs(work / "films", FILMS)
        space = work / "space"
        write_space(space)
        size = sum(path.stat().st_size for path in space.rglob("*") if path.is_file()) / MB
        bars: list[Bar] = [bar("size of what is pushed, MB", size, n=1)]
        python = Path(sys.executable) if given.quick else _empty_venv(work / "venv", space, bars)
        bars += _started(python, space, films)
        write_result(
            "space", f"space.py{' --quick' if given.quick else ''}", sha256_rows([path.name] for path in films), bars, quick=given.quick
        )


def _empty_venv(folder: Path, space: Path, bars: list[Bar]) -> Path:
    """A new venv with what requirements.txt names, as the platform makes one."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    began = time.monotonic()
    subprocess.run([python, "-m", "pip", "--retries", "1", "install", "-qq", "-r", space / "requirements.txt"], check=True)
    bars.append(bar("install of the requirements, s", time.monotonic() - began, n=1))
    there = subprocess.run([python, "-m", "pip", "show", "-qq", "hf-bones"], check=False, capture_output=True).returncode == 0
    bars.append(bar("hf-bones among what was installed", float(there), n=1, target=0, at_most=True))
    return python


def _started(python: Path, space: Path, films: list[Path]) -> list[Bar]:
    predictor = BonePredictor.from_pretrained("bundled")
    with _server(python, space) as (address, began):
        until_page = time.monotonic() - began
        client = Client(address, verbose=False)
        worst, until_answer = 0.0, 0.0
        for film in films:
            found = client.predict(handle_file(film), api_name="/predict")
            until_answer = until_answer or time.monotonic() - began
            here = predictor.predict(film)[0].probabilities or {}
            worst = max([worst, *(abs(here[name] - found["probabilities"][name]) for name in here)])
    return [
        bar("start to page, s", until_page, n=1),
        bar("start to first answer, s", until_answer, n=1),
        bar("largest difference of a probability from the predictor here", worst, n=len(films), target=1e-6, at_most=True),
    ]


@contextmanager
def _server(python: Path, space: Path) -> Iterator[tuple[str, float]]:
    """The address of `app.py` once it answers, and when it was started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HF_BONES"))}
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    address, began = f"http://127.0.0.1:{port}", time.monotonic()
    server = subprocess.Popen([python, "app.py"], cwd=space, env=inherited | own)
    try:
        while not _is_up(address):
            if server.poll() is not None or time.monotonic() - began > PATIENCE:
                raise SystemExit(f"{space}/app.py did not start; what it said stands above")
            time.sleep(0.1)
        yield address, began
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=5) as page:
            return bool(page.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
