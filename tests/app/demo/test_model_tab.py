"""What the Model tab says, without a browser. Run: pytest tests/app/demo/test_model_tab.py"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hf_bones.app.demo.about.figures import CALIBRATION, DECIDED
from hf_bones.app.demo.about.shipped import PLOTS
from hf_bones.app.demo.tabs.model import figure_words, model_html
from hf_bones.app.demo.wording import languages, load_words
from hf_bones.inference.checkpoint import find_folder
from hf_bones.metrics.headlines import CARD

WORDS = load_words("en")


def loaded(checkpoint: str | Path) -> Any:
    """What the tab asks of a loaded model."""
    return SimpleNamespace(predictor=SimpleNamespace(checkpoint=str(checkpoint), revision=None), name="my-model")


@pytest.mark.parametrize("language", languages())
def test_the_bundled_model_shows_figures_plots_and_card(language: str) -> None:
    words = load_words(language)
    html = model_html(loaded("bundled"), words)
    whole = json.loads((find_folder("bundled") / "metrics.json").read_text(encoding="utf-8"))
    auroc = whole["slices"][0]["figures"]["auroc_abnormal"]
    assert f"{auroc['value']:.2f} <span" in html and "({:.2f}–{:.2f})".format(*auroc["interval"]) in html
    decided = whole["decisions"][0]["decided"]
    assert f"{decided['count']} / {decided['of']}" in html
    assert words("model.plot.reliability") in html and html.count("<figure>") == sum(
        (find_folder("bundled") / file).is_file() for file in PLOTS
    )
    assert "a research and teaching tool" in html.lower() and "<script" not in html
    assert words("model.missing_name.audit") in html.split('class="missing"')[1].split("</p>")[0]


def test_a_bare_model_says_what_did_not_come_with_it(checkpoint: Path) -> None:
    html = model_html(loaded(checkpoint), WORDS)
    assert "my-model came without figures" in html
    for name in ("card", "figures", "confusion", "reliability", "curve of risk against coverage", "audit"):
        assert name in html.split('class="missing"')[1]
    assert "<table" not in html and "<img" not in html


def test_damaged_figures_take_nothing_else_with_them(checkpoint: Path) -> None:
    (checkpoint / "metrics.json").write_text('{"classes": 3}', encoding="utf-8")
    (checkpoint / "README.md").write_text("# Mine\n\n<b onclick=x>bold</b>\n", encoding="utf-8")
    (checkpoint / "audit.md").write_text("# Audit\n\nIt looks at markers.\n", encoding="utf-8")
    html = model_html(loaded(checkpoint), WORDS)
    for file in ("metrics.json", "README.md", "audit.md"):
        (checkpoint / file).unlink()
    assert "The figures of my-model cannot be read" in html and str(checkpoint.parent) not in html
    assert "It looks at markers." in html and "&lt;b onclick" in html and "<b onclick" not in html


@pytest.mark.parametrize("language", languages())
def test_every_figure_and_plot_has_its_words(language: str) -> None:
    words = load_words(language)
    for key in (*CARD, *CALIBRATION, "sensitivity_odd_class", "specificity_healthy"):
        assert figure_words(key, words)
    assert "Odd class" in figure_words("sensitivity_odd_class", words)
    for file in PLOTS:
        assert words(f"model.plot.{file.removesuffix('.png')}")
    for key in DECIDED:
        assert words(f"model.column.{key}")
