"""Films of several visitors go through the network together: `python -m pytest tests/app/demo/test_batching.py`."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import grey

import hf_bones.app.demo.models.batching as batching
from hf_bones.app.demo.models.batching import BATCH, Served
from hf_bones.images.opening import Refusal, open_image
from hf_bones.inference.finding import Finding
from hf_bones.inference.predictor import BonePredictor

VISITORS = 40


class Watched:
    """A predictor that notes how many films each pass has, and what it may not answer."""

    def __init__(self, predictor: BonePredictor, poison: object = None) -> None:
        self._predictor, self._poison = predictor, poison
        self.passes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict_iter(self, images: Any, **options: Any) -> Iterator[Finding]:
        images = list(images)
        self.passes.append(len(images))
        if any(image is self._poison for image in images):
            raise RuntimeError("this film breaks the network")
        return self._predictor.predict_iter(images, **options)


def served(predictor: Any, **options: Any) -> Served:
    return Served(predictor, open_image, **options)


def at_once(ask: Callable[[int], Any]) -> list[Any]:
    """What as many visitors get that ask in the same moment; an error is what its own visitor gets."""
    ready = threading.Barrier(VISITORS)

    def visit(place: int) -> Any:
        ready.wait()
        try:
            return ask(place)
        except RuntimeError as error:
            return error

    with ThreadPoolExecutor(VISITORS) as visitors:
        return list(visitors.map(visit, range(VISITORS)))


def test_films_of_many_go_through_together_and_each_gets_the_answer_to_its_own(predictor: BonePredictor) -> None:
    films = [np.asarray(grey(40 + seed, 60, seed=seed)) for seed in range(VISITORS)]
    watched = Watched(predictor)
    model = served(watched, wait=0.05)
    answers = at_once(lambda place: model.predict(films[place], f"{place}.png"))
    assert sum(watched.passes) == VISITORS and max(watched.passes) <= BATCH
    assert len(watched.passes) <= VISITORS // 4, f"they hardly went together: {watched.passes}"
    for place, (film, answer) in enumerate(zip(films, answers, strict=True)):
        (alone,) = predictor.predict(film)
        assert answer.finding.source == f"{place}.png" and answer.finding.checkpoint == "my-model"
        assert answer.finding.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert answer.radiograph.pixels.shape == film.shape
    shares = np.array([list(one.finding.probabilities.values()) for one in answers])
    unlike = np.abs(shares[:, None] - shares[None]).max(axis=-1) > 1e-4
    assert unlike.mean() > 0.5, "the films are too alike to tell crossed answers"


def test_an_error_reaches_only_the_one_whose_film_caused_it(predictor: BonePredictor) -> None:
    films = [np.asarray(grey(seed=seed)) for seed in range(VISITORS)]
    model = served(Watched(predictor, poison=films[7]), wait=0.05)
    answers = at_once(lambda place: model.predict(films[place], str(place)))
    assert isinstance(answers[7], RuntimeError)
    assert [one.finding.source for place, one in enumerate(answers) if place != 7] == [
        str(place) for place in range(VISITORS) if place != 7
    ]


def test_a_file_that_cannot_be_opened_costs_nobody_a_pass(predictor: BonePredictor, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no film")
    watched = Watched(predictor)
    answer = served(watched).predict(bad, "bad.png")
    assert answer.finding.verdict == "unreadable" and answer.finding.reasons[0] == Refusal.NOT_AN_IMAGE
    assert answer.radiograph is None and not watched.passes and str(tmp_path) not in str(answer.finding.to_dict())


def test_heat_is_made_when_it_is_asked_for(predictor: BonePredictor) -> None:
    film = np.asarray(grey())
    model = served(predictor)
    assert model.predict(film, "a").finding.heatmap is None
    (expected,) = predictor.heat([film], ["fractured"])
    assert np.allclose(model.heat(film, "fractured"), expected, atol=1e-5)
    heatmap = model.predict(film, "a", heatmap=True).finding.heatmap
    assert heatmap is not None and heatmap.shape == film.shape


def test_a_model_that_nobody_holds_goes_when_its_work_is_done(predictor: BonePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "IDLE", 0.05)
    model = served(predictor)
    assert model.predict(np.asarray(grey()), "a").finding.readable
    threads = [thread for thread in threading.enumerate() if thread.name == f"model {model.name}"]
    gone = weakref.ref(model)
    del model
    for thread in threads:
        thread.join(10)
    gc.collect()
    assert gone() is None


def test_a_film_that_comes_after_a_pause_is_answered(predictor: BonePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "IDLE", 0.001)
    model = served(predictor, wait=0.0)
    for seed in range(20):  # the thread ends and starts again between them
        assert model.predict(np.asarray(grey(seed=seed)), str(seed)).finding.source == str(seed)
        threading.Event().wait(0.002)
