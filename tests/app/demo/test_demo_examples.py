"""The demo's examples: which films they are, and what is said of them. Run: pytest tests/app/demo/test_demo_examples.py"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hf_bones.app.demo.classify import answer
from hf_bones.app.demo.examples import EXAMPLES_FILE, choose_examples, draw_examples, example_caption
from hf_bones.app.demo.wording import load_words
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.evaluation.drawn_films import JudgedFilm
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json

EXAMPLES = read_json(EXAMPLES_FILE)["examples"]


def test_examples_are_drawn_two_of_a_class_and_the_same_each_time(predictor: BonePredictor) -> None:
    examples = draw_examples()
    assert [example.label for example in examples] == [name for name in THREE_CLASS.names for _ in range(2)]
    assert len({example.png for example in examples}) == len({example.name for example in examples}) == 6
    assert all(example.name.startswith("drawn-") and len(example.png) <= 60_000 for example in examples)
    assert [example.png for example in draw_examples()] == [example.png for example in examples]
    assert all(answer(predictor, example.png, example.name).finding.readable for example in examples)
    assert [example_caption(example, load_words()) for example in examples] == [example.caption for example in examples]
    assert example_caption(examples[0], load_words("de")).startswith("Unterschenkel, gesund")
    assert "drawn, not real" in load_words()("classify.examples")


def test_the_break_of_a_broken_example_is_plain_to_see() -> None:
    for chosen in EXAMPLES:
        if chosen["label"] == "healthy":
            continue
        broken, whole = (draw_radiograph(chosen["seed"], label, mode=chosen["mode"]) for label in (chosen["label"], "healthy"))
        changed = np.abs(broken.pixels.astype(int) - whole.pixels)[broken.mask]
        assert changed.mean() > 8 and broken.mask.mean() > 0.001, f"run scripts/judge_drawn.py with --examples: {chosen} hides its break"


@pytest.mark.slow
def test_the_bundled_model_judges_each_example_as_drawn_or_its_caption_calls_it_hard() -> None:
    films = [draw_radiograph(chosen["seed"], chosen["label"], mode=chosen["mode"]) for chosen in EXAMPLES]
    findings = BonePredictor.from_pretrained("bundled").predict([film.pixels for film in films])
    right = [finding.verdict == film.label for finding, film in zip(findings, films, strict=True)]
    redo = "the bundled model or the drawing has changed: python scripts/judge_drawn.py hf_bones/checkpoint --examples"
    assert right == [chosen["judged_as_drawn"] for chosen in EXAMPLES], redo
    assert ["(hard)" not in example.caption for example in draw_examples(96)] == right


def test_a_plain_and_a_hard_example_of_each_class_are_chosen_and_those_judged_right_come_first() -> None:
    def judged(seed: int, label: str, verdict: str, region: str, **more: Any) -> JudgedFilm:
        facts = {
            "seed": seed,
            "label": label,
            "region": region,
            "cast": False,
            "boxes": ((0, 0, 1, 1),),
            "mask": np.ones((4, 4), dtype=bool),
        }
        film = SimpleNamespace(**{**facts, "severity": 0.5, "mode": "hard" if seed < 50 else "plain", **more})
        return JudgedFilm(film, verdict)  # type: ignore[arg-type]

    films = [judged(10 + place, "healthy", "healthy", region, boxes=()) for place, region in enumerate(("leg", "leg", "knee"))]
    films += [judged(20, "fractured", "fractured", "foot", cast=True), judged(21, "fractured", "fractured", "leg")]
    films += [judged(22, "fractured", "healthy", "hand"), judged(30, "beyond_repair", "beyond_repair", "leg", mask=np.zeros((4, 4)))]
    films += [judged(31, "beyond_repair", "healthy", "elbow"), judged(32, "beyond_repair", "refer", "elbow", severity=0.9)]
    films += [judged(60 + place, label, label, "leg") for place, label in enumerate(THREE_CLASS.names)]
    assert [(each["seed"], each["mode"], each["judged_as_drawn"]) for each in choose_examples(films)] == [
        (60, "plain", True), (12, "hard", True), (61, "plain", True), (21, "hard", True), (62, "plain", True), (32, "hard", False),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no plain film of beyond_repair"):
        choose_examples(films[:-1])
