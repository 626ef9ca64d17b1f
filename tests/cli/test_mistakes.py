"""What a user can do wrong is one line, said before the work starts. Run: pytest tests/cli/test_mistakes.py"""

import socket

import pytest
from PIL import Image
from tiny import bar_picture
from typer.testing import CliRunner

from hf_bones import reach
from hf_bones.cli.main import app
from hf_bones.inference.predictor import BonePredictor


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    """A model that is loaded before the mistake is found fails the test; and there is no network."""
    monkeypatch.setattr(BonePredictor, "from_pretrained", classmethod(lambda *_, **__: pytest.fail("a model was loaded")))
    monkeypatch.setattr(reach, "hub_problem", lambda *_: "no network")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films" / "healthy").mkdir(parents=True)
    Image.fromarray(bar_picture(0, 0)).save(tmp_path / "films" / "healthy" / "a.png")
    (tmp_path / "file").write_text("")
    return tmp_path


def line(*words: object, code: int = 2) -> str:
    """The one line that a command ends with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    lines = done.stderr.strip().splitlines()
    assert done.exit_code == code and len(lines) == 1 and lines[0].startswith("error: "), done.output
    return lines[0]


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "films", "--csv", "file/x.csv"),
        ("predict", "films", "--heatmaps", "file/x"),
        ("build", "films", "--output", "file/x"),
        ("train", "--recipe", "small-cnn", "--dataset", "films", "--output_dir", "file/x"),
        ("evaluate", "bundled", "films", "--out", "file/x"),
        ("compare", "small-cnn", "--dataset", "films", "--out", "file/x"),
        ("contact-sheet", "films", "--out", "file/x.png"),
        ("quickstart", "--out", "file/x"),
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_written_is_said_before_the_work(here, words):
    assert "cannot be written" in line(*words) and "file" in line(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--recipe", "small-cnn", "--dataset", "films/healty"),
        ("evaluate", "bundled", "films/healty", "--out", "r"),
        ("compare", "small-cnn", "--dataset", "films/healty", "--out", "r"),
        ("cache", "films/healty"),
    ],
    ids=lambda words: words[0],
)
def test_a_mistyped_path_is_not_looked_for_on_the_hub(here, words):
    assert "films/healty: no such folder here, and not found on the Hub (no network); did you mean films/healthy?" in line(*words)
    assert not (here / "r").exists()


def test_weights_that_are_not_here_are_named_with_what_to_give_instead(here):
    said = line("train", "--recipe", "dinov2-small", "--dataset", "films", "--out", "run", code=1)
    assert "facebook/dinov2-small" in said and "name a folder with --model" in said and not (here / "run").exists()
    assert "me/bones" in line("predict", "films", "--model", "me/bones", code=1)


def test_what_is_to_be_predicted_is_looked_at_before_a_model_is_loaded(here):
    assert "nothing.png: no such file" in line("predict", "nothing.png")
    (here / "out.csv").write_text("file\n")
    assert "add --resume" in line("predict", "films", "--csv", "out.csv")


@pytest.mark.parametrize("command", [("demo",), ("review", "films")], ids=["demo", "review"])
def test_a_port_that_is_taken_is_said_before_a_model_is_loaded(here, command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"--port {port}: another program listens there; name another port with --port" in line(*command, "--port", port)
    assert "--host 192.0.2.7: this machine has no such address" in line(*command, "--host", "192.0.2.7", "--port", port)


def test_a_dry_run_of_a_collection_without_a_network_ends_at_once(here, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    done = CliRunner().invoke(app, ["collect", "--recipe", "bones", "--contact", "me@example.org", "--out", "c", "--dry-run"])
    assert done.exit_code == 1 and done.stderr.splitlines()[-1].startswith("error: no network")
    assert len(done.stderr.splitlines()) == 3  # the two providers that were asked, and that there is no network
    assert not (here / "c").exists()


def test_a_recipe_nested_without_end_is_a_line(here):
    (here / "deep.yaml").write_text("[" * 20_000)
    assert "deep.yaml: it is nested too deeply" in line("train", "--recipe", "deep.yaml", "--dataset", "films")
