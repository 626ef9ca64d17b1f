"""A fitted shift of the verdicts. Run: pytest tests/training/test_verdicts.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import main
from scipy.optimize import check_grad
from small_run import arguments

from hf_bones.inference.decision import read_decision
from hf_bones.record import read_json
from hf_bones.training import verdicts

NOWHERE = np.zeros(3)


def leaning(count: tuple[int, int, int], lean: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that tell the classes apart fairly well and lean by `lean`, and their labels."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), count)
    return 2.0 * np.eye(3)[labels] + random.normal(size=(len(labels), 3)) + lean, labels


def test_a_lean_is_taken_back_however_uneven_the_classes_are() -> None:
    lean = np.array([1.5, -0.5, -1.0])
    logits, labels = leaning((4000, 1200, 600), lean)
    shift = verdicts.fitted_shift(logits, labels, NOWHERE)
    assert shift - shift.mean() == pytest.approx(-lean, abs=0.15)
    recalls = [float(((logits[labels == label] + shift).argmax(axis=1) == label).mean()) for label in range(3)]
    assert max(recalls) - min(recalls) < 0.05, "as the classes are equally easy, none is called more than another"


def test_a_dozen_films_do_not_move_it_far() -> None:
    lean = np.array([3.0, 0.0, -3.0])
    few, many = (verdicts.fitted_shift(*leaning((size, size, size), lean), NOWHERE) for size in (2, 2000))
    assert np.abs(few).max() < 0.6 * np.abs(many).max()
    assert many - many.mean() == pytest.approx(-lean, abs=0.2)


def test_its_slopes_are_those_of_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = verdicts.minimize
    monkeypatch.setattr(verdicts, "minimize", lambda loss, start, **more: seen.append(loss) or real(loss, start, **more))
    logits, labels = leaning((9, 5, 3), np.array([1.0, 0.0, -1.0]))
    verdicts.fitted_shift(logits, labels, np.array([0.3, -0.1, 0.2]))
    point = np.array([0.4, 0.7, -0.3, 0.1])
    assert check_grad(lambda at: seen[0](at)[0], lambda at: seen[0](at)[1], point) < 1e-5


def test_a_class_without_films_is_named() -> None:
    with pytest.raises(ValueError, match=r"verdict_copies: needs validation rows of every class; counts are \[2, 1, 0\]"):
        verdicts.fitted_shift(np.zeros((3, 3)), np.array([0, 0, 1]), NOWHERE)


def test_a_run_fits_shift_and_temperature_on_copies(smaller: Path, tmp_path: Path) -> None:
    common = ("--head_start", "random", "--epochs", "1", "--class_weights", "none", "--balanced_verdicts", "true", "--augment", "true")
    assert main(arguments(smaller, tmp_path / "read", *common)) == 0
    assert main(arguments(smaller, tmp_path / "fitted", *common, "--verdict_copies", "2", "--cached_views", "0")) == 0
    read, fitted = (read_json(tmp_path / name / "record.json")["verdict_shift"] for name in ("read", "fitted"))
    assert [*fitted.values()] != pytest.approx([*read.values()], abs=1e-4)
    decision = read_decision(tmp_path / "fitted")
    assert decision is not None and decision.fitted_on["copies_of_each"] == 2 and decision.fitted_on["n"] == 9
    assert main(arguments(smaller, tmp_path / "refused", "--verdict_copies", "2")) == 2
