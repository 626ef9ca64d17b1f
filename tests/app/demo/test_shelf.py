"""Which models a page has, and when they are loaded: `python -m pytest tests/app/demo/test_shelf.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import grey

import hf_bones.app.demo.models.shelf as shelf_module
from hf_bones.app.demo.models.shelf import ModelEntry, Shelf
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.predictor import BonePredictor


class Loads:
    """Stands for `BonePredictor.from_pretrained`: notes what is loaded, and waits until it may go on."""

    def __init__(self, real: BonePredictor) -> None:
        self.real, self.asked, self.go_on = real, [], threading.Event()
        self.go_on.set()
        self.fails = False

    def __call__(self, name: object, **options: Any) -> BonePredictor:
        self.asked.append((str(name), options.get("revision")))
        assert self.go_on.wait(60)
        if self.fails:
            raise ValueError(f"{name}: no model.safetensors")
        return self.real


@pytest.fixture
def loads(predictor: BonePredictor, monkeypatch: pytest.MonkeyPatch) -> Loads:
    found = Loads(predictor)
    monkeypatch.setattr(shelf_module.BonePredictor, "from_pretrained", found)
    return found


@pytest.fixture
def three(loads: Loads) -> Iterator[Shelf]:
    shelf = Shelf([ModelEntry("me/one"), ModelEntry("me/two", "v2"), ModelEntry("bundled")])
    yield shelf
    shelf.close()


def test_the_first_model_is_loaded_behind_the_page_and_says_how_far_it_is(three: Shelf, loads: Loads) -> None:
    assert three.names == ["me/one", "me/two@v2", "bundled"] and three.first == "me/one" and three.state().kind == "absent"
    loads.go_on.clear()
    three.start()
    assert three.state().kind == "loading" and "me/one" in three.state().sentence
    loads.go_on.set()
    assert three.get().predictor is loads.real and three.state("me/one").kind == "ready"
    assert loads.asked == [("me/one", None)]
    assert three.get("me/two@v2").name == "me/two@v2" and loads.asked[-1] == ("me/two", "v2")


def test_many_who_ask_for_a_model_wait_for_one_loading_of_it(three: Shelf, loads: Loads) -> None:
    loads.go_on.clear()
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(three.get("bundled"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    loads.go_on.set()
    for thread in threads:
        thread.join(60)
    assert len(got) == 8 and len(set(map(id, got))) == 1 and loads.asked == [("bundled", None)]


def test_two_stay_loaded_and_one_that_is_dropped_still_answers_who_has_it(three: Shelf) -> None:
    first = three.get("me/one")
    three.get("me/two@v2")
    three.get("me/one")  # asked for last, so the other one is the oldest
    three.get("bundled")
    assert [three.state(name).kind for name in three.names] == ["ready", "absent", "ready"]
    three.get("me/two@v2")
    assert three.state("me/one").kind == "absent"
    assert first.predict(np.asarray(grey()), "film").finding.readable
    assert three.get("me/one") is not first


def test_a_model_that_fails_says_why_and_is_tried_again_later(three: Shelf, loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    loads.fails = True
    with pytest.raises(CheckpointError, match=r"me/one: no model\.safetensors"):
        three.get()
    assert three.state().kind == "failed" and "no model.safetensors" in three.begin().sentence
    loads.fails = False
    with pytest.raises(CheckpointError):
        three.get()
    assert len(loads.asked) == 1, "not again with every request"
    monkeypatch.setattr(shelf_module, "TRY_AGAIN", 0.0)
    assert three.get().predictor is loads.real


def test_only_what_is_offered_may_be_asked_for(three: Shelf, loads: Loads) -> None:
    for name in ("me/other", "/etc", "me/two", "../one"):
        with pytest.raises(CheckpointError, match="choose one of me/one, me/two@v2, bundled"):
            three.get(name)
        assert three.begin(name).kind == "failed" and three.state(name).kind == "absent"
    assert not loads.asked


def test_any_hub_id_may_be_asked_for_where_that_is_allowed_but_no_folder(
    loads: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    shelf = Shelf([ModelEntry("bundled")], allow_any=True)
    shelf.get("you/bones@v3")
    assert loads.asked == [("you/bones", "v3")] and shelf.state("you/bones@v3").kind == "ready"
    for name in ("runs/mine", str(tmp_path / "runs" / "mine"), "you", "../runs/mine"):
        with pytest.raises(CheckpointError, match="or a Hub id"):
            shelf.get(name)
    assert len(loads.asked) == 1


def test_a_folder_is_never_named_by_its_path(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "secret-place" / "my-model"
    broken.mkdir(parents=True)
    shelf = Shelf([ModelEntry(checkpoint), ModelEntry(str(broken))])
    assert shelf.names == ["my-model", "my-model (2)"]
    assert shelf.get().predict(np.asarray(grey()), "film").finding.checkpoint == "my-model"
    with pytest.raises(CheckpointError) as error:
        shelf.get("my-model (2)")
    assert "secret-place" not in str(error.value) and "config.json" in str(error.value)
    shelf.close()


def test_a_page_needs_a_model() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        Shelf([])
