"""An audit from a checkpoint and a dataset to its page. Run: pytest tests/evaluation/audit/test_audit.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import WAIT, browser  # noqa: F401 - a fixture
from datasets import Dataset, DatasetDict
from playwright.sync_api import Browser
from tiny import bar_picture, bone_row, bone_rows, telling_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.evaluation.audit.choices import SECTIONS, AuditChoices
from hf_bones.evaluation.opinions import frozen
from hf_bones.inference.predictor import BonePredictor

PHONE = 390  # px


def films(start: int, count: int, **same: Any) -> Dataset:
    """Bars that tell the class; every other broken film, and few healthy ones, are of the second source."""
    rows = []
    for index in range(start, start + count):
        label = index % 3
        known = {
            "source": ("clinic", "web")[index % 2 if label else index % 5 == 0],
            "region": ("hand", "leg")[index // 3 % 2],
            "view": ("frontal", "lateral")[index // 6 % 2],
            "cast": None if not label else index % 2 == 0,
            "hardware": index % 4 == 1,
            "severity": (index % 7) / 6 if label else float("nan"),
        }
        pixels = bar_picture(label, index, height=64 + index // 2 % 9)
        rows.append(bone_row(pixels, index, label=label, synthetic=False, group=f"{known['source']}{index // 4}", **(known | same)))
    return bone_rows(rows)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a dataset with all columns, and one that says nothing but the label and the region."""
    folder = tmp_path_factory.mktemp("audit")
    telling_checkpoint(folder / "model")
    DatasetDict(train=films(0, 72), validation=films(1000, 24), test=films(2000, 60)).save_to_disk(str(folder / "full"))
    bare = {"source": "", "region": "hand", "view": "", "cast": None, "hardware": None, "severity": float("nan")}
    test = films(2000, 30, **bare).to_list()
    test[4]["image"] = {"bytes": b"no image at all", "path": None}
    DatasetDict(test=bone_rows(test)).save_to_disk(str(folder / "bare"))
    return folder


def run(ground: Path, dataset: str, out: Path, *more: str) -> dict[str, Any]:
    words = [
        "audit",
        str(ground / "model"),
        str(ground / dataset),
        "--out",
        str(out),
        "--repeats",
        "20",
        "--device",
        "cpu",
        "--json",
        *more,
    ]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads((out / "audit.json").read_text())


@pytest.fixture(scope="module")
def full(ground: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out")
    return out, run(ground, "full", out)


def test_every_part_is_measured_and_its_first_sentence_stands_at_the_top(full: tuple[Path, dict[str, Any]]) -> None:
    out, found = full
    assert tuple(found["sections"]) == SECTIONS
    assert [name for name, section in found["sections"].items() if not section["measured"]] == []
    text = (out / "audit.md").read_text().replace("\\", "")
    top, _, rest = text.partition("## Classes and sources")
    for section in found["sections"].values():
        assert section["said"][0] in top and section["said"][0] in rest
        assert f"## {section['title']}" in text
    assert text.count("![") == (out / "audit.html").read_text().count("data:image/png") >= 10
    assert found["films"]["scored"] == {"healthy": 20, "fractured": 20, "beyond_repair": 20} and found["films"]["features"] == 96


def test_the_figures_are_those_of_the_dataset_and_the_predictor(ground: Path, full: tuple[Path, dict[str, Any]]) -> None:
    _, found = full
    figures = {name: section["figures"] for name, section in found["sections"].items()}
    whole = [row for count, start in ((72, 0), (24, 1000), (60, 2000)) for row in films(start, count).remove_columns("image")]
    assert figures["sources"]["films"]["web"]["healthy"] == sum(row["source"] == "web" and row["label"] == 0 for row in whole)
    # Verdicts of films and of mirrored films, one after the other.
    test = films(2000, 60)
    predictor = BonePredictor.from_pretrained(ground / "model", device="cpu")
    pixels = [np.asarray(row["image"]) for row in test]
    said, mirrored = ([one.verdict for one in predictor.predict(each)] for each in (pixels, [image[:, ::-1] for image in pixels]))
    changed = sum(one != other for one, other in zip(said, mirrored, strict=True))
    assert figures["flips"]["mirrored left to right"]["flipped"]["value"] == pytest.approx(changed / 60)
    assert sum(each["changed"] for each in figures["flips"]["mirrored left to right"]["flipped_by_label"].values()) == changed
    assert figures["read"]["source"]["films"] == {name: sum(row["source"] == name for row in whole[:96]) for name in ("clinic", "web")}
    assert figures["labels"]["planted"] == round(0.05 * 96)
    assert set(figures["left-out"]) == {"clinic", "web"}
    assert {table["name"] for table in figures["parts"]["figures"]} >= {"clinic", "web", "view frontal", "view lateral"}


def test_it_resumes_and_asks_the_model_nothing_twice(
    ground: Path, full: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, before = full
    monkeypatch.setattr(BonePredictor, "predict", lambda *_, **__: pytest.fail("the model was asked again"))
    monkeypatch.setattr(frozen, "head_features", lambda *_, **__: pytest.fail("features were computed anew"))
    again = run(ground, "full", tmp_path, "--cache", str(out / "kept"), "--only", "masked", "left-out")
    assert tuple(again["sections"]) == ("masked", "left-out")
    assert again["sections"]["masked"] == before["sections"]["masked"]
    assert again["looks"]["count"] is None, "reading kept answers is no look at test"
    assert before["looks"]["count"] == 1


def test_what_the_dataset_does_not_say_is_said_in_a_line(ground: Path, tmp_path: Path) -> None:
    found = run(ground, "bare", tmp_path, "--only", "sources", "read", "forest", "breaks", "parts", "left-out", "labels")
    missing = {name: " ".join(section["missing"]) for name, section in found["sections"].items()}
    assert "column `source`" in missing["sources"] and "column `cast`" in missing["sources"]
    assert "train and validation" in missing["read"] and "train and validation" in missing["left-out"] and missing["labels"]
    assert "no train split" in missing["forest"]
    assert (
        "severity" in missing["breaks"] and "cast" in missing["breaks"] and "metal" in missing["breaks"] and "region" in missing["breaks"]
    )
    assert "By view" in missing["parts"] and "By source" in missing["parts"]
    assert not any(found["sections"][name]["measured"] for name in ("read", "forest", "left-out", "labels"))
    text = (tmp_path / "audit.md").read_text()
    assert text.count("Not measured: ") == 8, "in its part, and at the top"
    assert list(found["films"]["left_out"].values()) == ["unreadable"]


def test_a_part_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'flip'.*flips"):
        AuditChoices(only=("flip",))
    with pytest.raises(ValueError, match="label-errors"):
        AuditChoices(label_errors=0.7)
    assert AuditChoices(only=("labels", "read")).parts == ("read", "labels")
    assert (AuditChoices(quick=True).films, AuditChoices(quick=True, limit=50).films, AuditChoices(limit=500).films) == (120, 50, 500)


def test_a_sample_keeps_the_shares_of_the_classes(ground: Path, tmp_path: Path) -> None:
    found = run(ground, "full", tmp_path, "--limit", "30", "--only", "prevalence")
    assert found["films"]["scored"] == {"healthy": 10, "fractured": 10, "beyond_repair": 10} and found["films"]["features"] == 30
    assert "A sample: at most about 30 films" in (tmp_path / "audit.md").read_text()


@pytest.mark.browser
def test_the_page_fits_a_telephone_and_needs_nothing_else(browser: Browser, full: tuple[Path, dict[str, Any]]) -> None:  # noqa: F811
    out, _ = full
    context = browser.new_context(viewport={"width": PHONE, "height": 844})
    context.set_default_timeout(WAIT)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((out / "audit.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert page.evaluate("() => [...document.images].filter((one) => !one.naturalWidth).length") == 0
    broken = "() => [...document.querySelectorAll('a[href^=\"#\"]')].filter((one) => !document.getElementById(one.hash.slice(1))).length"
    assert page.evaluate(broken) == 0
    context.close()
    assert {url.split(":")[0] for url in asked} - {"data"} == {"file"}
