"""The demo as a Space: its files, pushed to a small Hub on loopback, and started from there. Run: pytest tests/hub/test_space.py"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from gradio_client import Client, handle_file
from hub_server import HubServer
from PIL import Image
from repository import ROOT
from typer.testing import CliRunner

import hf_bones
from hf_bones.cli.main import app
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.hub.push import PushError
from hf_bones.hub.space import space_files, write_space

NAME = "ada/bones-demo"
WHEEL = f"hf_bones-{hf_bones.__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Space of the bundled model."""
    folder = tmp_path_factory.mktemp("spaces") / "bundled"
    assert write_space(folder) == ("README.md", "app.py", WHEEL, "requirements.txt")
    return folder


def settings(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])


def models_of(folder: Path) -> list[str]:
    found = re.search(r"^MODELS = (\[.*\])", (folder / "app.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return list(ast.literal_eval(found[1]))


def test_the_folder_demo_is_the_space_of_the_bundled_model(bundled: Path) -> None:
    for name in ("app.py", "README.md"):
        assert (ROOT / "demo" / name).read_text(encoding="utf-8") == (bundled / name).read_text(encoding="utf-8"), (
            "write it anew: hf-bones space push OWNER/NAME --dry-run demo"
        )
    tested = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    tested = {name.replace("_", "-"): version for name, version in tested.items()}
    pins = dict(line.split("==") for line in (ROOT / "demo" / "requirements.txt").read_text().splitlines() if "==" in line)
    made = [line.split("==")[0] for line in (bundled / "requirements.txt").read_text().splitlines() if "==" in line]
    assert list(pins) == made and {name: tested[name] for name in pins} == pins


def test_settings_are_those_of_what_is_pinned(bundled: Path) -> None:
    said = settings(bundled)
    pins = (bundled / "requirements.txt").read_text().splitlines()
    assert said["sdk"] == "gradio" and f"gradio=={said['sdk_version']}" in pins
    assert said["app_file"] == "app.py" and said["python_version"] == "3.12" and len(str(said["short_description"])) <= 60
    assert "suggested_hardware" not in said and "models" not in said
    assert pins[0].startswith("--extra-index-url") and not any(line.startswith("hf-bones") for line in pins)
    assert models_of(bundled) == ["bundled"]


def test_models_are_hub_ids_and_folders_which_go_along(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "space"
    (checkpoint / "NOTICE").write_text("FracAtlas, CC BY 4.0")
    names = write_space(out, ["bundled", "eve/bones", str(checkpoint)], zero_gpu=True)
    copied = {name.removeprefix("checkpoints/run/") for name in names if name.startswith("checkpoints/")}
    assert copied >= {"config.json", "model.safetensors", "README.md", "NOTICE"} and "worst_errors.html" not in copied
    assert models_of(out) == ["bundled", "eve/bones", "checkpoints/run"]
    assert settings(out)["models"] == ["eve/bones"] and settings(out)["suggested_hardware"] == "zero-a10g"
    assert (out / "requirements.txt").read_text().startswith("accelerate=="), "torch as the index has it, with CUDA"
    (out / "notes.txt").write_text("mine")
    write_space(out)
    assert space_files(out) == ("README.md", "app.py", WHEEL, "requirements.txt") and (out / "notes.txt").is_file()


def test_what_is_no_model_is_refused_before_anything_is_written(checkpoint: Path, tmp_path: Path) -> None:
    out, namesake = tmp_path / "space", tmp_path / "other" / "run"
    shutil.copytree(checkpoint, namesake)
    for models, said in (
        (["runs/never-made/at-all"], "neither 'bundled', nor a folder here, nor a Hub id"),
        ([], "needs a model"),
        ([str(checkpoint), str(namesake)], "two folders of the models are called run"),
    ):
        with pytest.raises(PushError, match=re.escape(said)):
            write_space(out, models)
    (checkpoint / "optimizer.pt").write_bytes(b"pickle")
    with pytest.raises(PushError, match=re.escape("pickles can run code")):
        write_space(out, [str(checkpoint)])
    assert not out.exists()


PUSH = """
import json, sys
from hf_bones.cli.main import run
from hf_bones.hub.push import PushError
from hf_bones.hub.space import push_space

def refused(name, **options):
    try:
        push_space(name, **options)
    except PushError as error:
        return str(error)

folder, name = sys.argv[1:]
assert run("space", "push", name, "--model", folder, "--json") == 0
again = push_space(name, [folder])
second = push_space(name, ["eve/bones"], message="Another model")
said = {"commits": [again.commit, second.commit], "foreign": refused("eve/demo"), "wrong": refused("ada/other", token="hf_wrong")}
print(json.dumps({**said, "odd": refused("ada/my demo!"), "torch": "torch" in sys.modules, "gradio": "gradio" in sys.modules}))
"""


def test_a_space_goes_up_in_one_commit_and_is_brought_up_to_date(hub: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    output = hub.run_python(PUSH, tmp_path / "home", str(checkpoint), NAME)
    said = json.loads(output.splitlines()[-1])
    pushed = json.loads(output.partition("\n{")[0] if "\n{" in output else output)
    repo = hub.repo(NAME, "space")
    again, second = said["commits"]
    assert pushed["url"] == f"{hub.url}/spaces/{NAME}" and repo.private
    assert again == pushed["commit"], "nothing changed, so there is no new commit"
    first = hub.files(NAME, pushed["commit"], "space")
    written = tmp_path / "written"
    assert list(write_space(written, [str(checkpoint)])) == pushed["files"] and "checkpoints/run/model.safetensors" in first
    assert {name: first[name] for name in first if name != ".gitattributes"} == {
        name: (written / name).read_bytes() for name in pushed["files"]
    }
    assert repo.commits[again][WHEEL].lfs and repo.commits[again]["checkpoints/run/model.safetensors"].lfs
    assert set(hub.files(NAME, second, "space")) == {"README.md", "app.py", WHEEL, "requirements.txt", ".gitattributes"}
    assert repo.messages[second] == "Another model" and len(repo.commits) == 3
    assert "(403)" in said["foreign"] and "(401)" in said["wrong"] and "cannot be a Hub id" in said["odd"]
    assert not said["torch"] and not said["gradio"], "pushing needs neither"


def test_a_dry_run_writes_the_folder_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = CliRunner().invoke(app, ["space", "push", NAME, "--dry-run", str(tmp_path / "space"), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said == {"folder": str(tmp_path / "space"), "files": list(space_files(tmp_path / "space"))}
    wrong = CliRunner().invoke(app, ["space", "push", "my demo!", "--dry-run", str(tmp_path / "other")])
    assert wrong.exit_code == 2 and "cannot be a Hub id" in wrong.output and not (tmp_path / "other").exists()


SPACES = """
import pickle, sys
assert "torch" not in sys.modules, "torch came before spaces"
def GPU(task):
    print("decorated", task.__name__, "of package", sys.modules["hf_bones"].__path__[0], file=sys.stderr, flush=True)
    def lend(*given):
        print("lent for", given[2], file=sys.stderr, flush=True)
        return pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps(given)))))
    return lend
"""


@pytest.mark.slow
def test_what_was_pushed_starts_with_the_package_of_its_wheel_and_answers(checkpoint: Path, tmp_path: Path) -> None:
    """Here the libraries are those of this environment; `scripts/bench/space.py` installs them into an empty one."""
    folder, temporary = tmp_path / "space", tmp_path / "temporary"
    temporary.mkdir()
    write_space(folder, [str(checkpoint)])
    (folder / "spaces.py").write_text(SPACES)  # as on ZeroGPU, where a GPU is lent to decorated functions
    Image.fromarray(draw_radiograph(3, size=96).pixels).save(tmp_path / "film.png")
    with started(folder, TMPDIR=str(temporary)) as (server, address):
        client = Client(address, verbose=False)
        finding = client.predict(handle_file(tmp_path / "film.png"), api_name="/predict")
        packages = list(temporary.glob("hf-bones-package-*"))
        assert len(packages) == 1 and (packages[0] / "hf_bones" / "checkpoint").is_dir()
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) is not None
    said = (folder / "said.txt").read_text()
    assert finding["verdict"] in {"healthy", "fractured", "beyond_repair", "refer"} and finding["checkpoint"] == "run"
    assert f"decorated run of package {packages[0] / 'hf_bones'}" in said and "lent for _classify" in said
    assert "Traceback" not in said, said
    assert list(temporary.glob("hf-bones-*")) == [], "package and uploads are gone"


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`app.py` as a Space runs it, but for its port; what it says goes to `said.txt`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHON", "GRADIO"))}
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", **environment}
    with (folder / "said.txt").open("wb") as said:
        server = subprocess.Popen([sys.executable, "app.py"], env=inherited | own, cwd=folder, stdout=said, stderr=said)
        try:
            address, end = f"http://127.0.0.1:{port}", time.monotonic() + 180
            while not is_up(address):
                assert server.poll() is None and time.monotonic() < end, (folder / "said.txt").read_text()
                time.sleep(0.2)
            yield server, address
        finally:
            server.kill()
            server.wait()


def is_up(address: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=5) as page:
            return page.status == 200
    except OSError:
        return False
