import pytest
from registries import QUICK, make_quick, sets_file
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.download.choices import DownloadChoices
from hf_bones.collect.download.command import download_command, offer
from hf_bones.collect.download.transfer import Patience


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    make_quick(monkeypatch)


@pytest.fixture
def run(tmp_path, rogue):
    """`hf-bones download` with the registries of `rogue`."""
    where = ["--sets", str(sets_file(tmp_path, rogue)), "--allow-private", "127.0.0.1"]

    def call(*words):
        return CliRunner().invoke(app, ["download", *map(str, words), *where])

    return call


@pytest.fixture
def bring(tmp_path, rogue):
    """A download as a function call, with short waits."""
    choices = DownloadChoices(sets=str(sets_file(tmp_path, rogue)), allow_private=("127.0.0.1",))

    def call(text, out, **patience):
        found = offer(text, out, choices)
        return download_command(found, choices, show_progress=False, patience=Patience(**(vars(QUICK) | patience)))

    return call
