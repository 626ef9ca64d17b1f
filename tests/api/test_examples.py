"""The example of each public function runs, in the order of the work, on drawn films: `python -m pytest tests/api/test_examples.py`."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from drawn_films import write_drawn_films
from hub_server import TOKEN, HubServer
from huggingface_hub import constants

import hf_bones


def test_the_examples_of_the_functions_run_one_after_the_other(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_drawn_films(tmp_path / "films", each=12)
    newer = write_drawn_films(tmp_path / "new_films", each=1)
    newer[0].rename(tmp_path / "wrist.png")
    monkeypatch.chdir(tmp_path)
    # A process of its own, as other tests of the Hub have, would import everything once more.
    for name, value in {"ENDPOINT": hub.url, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for name in ("build", "curate", "train", "evaluate", "predict", "push"):
        example = parser.get_doctest(getattr(hf_bones, name).__doc__, {}, name, None, None)
        assert len(example.examples) >= 3, f"{name}: no example"
        runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)
    files = hub.files("ada/my-bones", "main")
    assert {"model.safetensors", "config.json", "decision.json", "record.json", "README.md", "metrics.json"} <= set(files)
    assert "from hf_bones import BonePredictor" in files["README.md"].decode()
