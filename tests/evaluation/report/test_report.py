"""What a report says of made-up scores. Run: pytest tests/evaluation/report/test_report.py"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scored_rows import ABOUT, NAMES, QUICK, scored

from hf_bones.evaluation.report.baselines import STATISTICS, forest_probabilities, image_statistics, keep_licences
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.report.figures import figures_of
from hf_bones.evaluation.report.plots import save_figure
from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.results import Evaluation
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import slices_of
from hf_bones.evaluation.report.summary import summary_text
from hf_bones.pages.palette import SERIES
from hf_bones.pages.text import plain


@pytest.fixture(scope="module")
def rows() -> ScoredRows:
    return scored(verdicts=["refer"] * 120)


@pytest.fixture(scope="module")
def done(rows: ScoredRows, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """An evaluation of `rows` with a baseline beside the model."""
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    return evaluate_probabilities(rows, folder, ABOUT, baselines={"even": np.full((120, 3), 1 / 3)}, resampling=QUICK)


def test_a_report_is_written_whole_and_its_json_agrees_with_its_figures(rows: ScoredRows, done: Evaluation) -> None:
    folder = done.report.parent
    written = {path.name for path in folder.iterdir()}
    assert written == {
        "report.md", "report.html", "metrics.json", "confusion.png", "roc.png", "reliability.png", "worst_errors.html", "worst_errors.png",
    }  # fmt: skip
    for name in ("confusion.png", "roc.png", "reliability.png", "worst_errors.png"):
        with Image.open(folder / name) as picture:
            assert picture.width > 400 and len(picture.convert("RGB").getcolors(maxcolors=2**24) or []) > 20
    data = json.loads(done.metrics.read_text())
    assert (data["checkpoint"]["name"], data["dataset"]["sha256"], data["looks"]["count"]) == ("a checkpoint", "ab" * 32, 3)
    assert {"numpy", "scikit-learn"} <= set(data["environment"]["packages"])
    first = data["slices"][0]
    assert (first["kind"], first["model"], first["n"]) == ("all", "checkpoint", 120)
    assert first["figures"]["accuracy"]["value"] == pytest.approx((rows.predicted == rows.labels).mean())
    low, high = first["figures"]["auroc_abnormal"]["interval"]
    assert low < first["figures"]["auroc_abnormal"]["value"] < high
    matrix = np.array(data["confusion_rows_true"]["all:all"])
    assert matrix.sum(axis=1).tolist() == list(rows.supports().values())
    assert matrix[1, 0] == ((rows.labels == 1) & (rows.predicted == 0)).sum()
    assert {(s["name"], s["model"]) for s in data["slices"] if s["kind"] == "source"} == {
        (source, model) for source in ("hospital", "web") for model in ("checkpoint", "even")
    }
    assert {s["name"] for s in data["slices"] if s["kind"] == "region"} == {"hand", "leg", "not stated"}
    text = done.report.read_text()
    for words in ("not a medical device", "3 times", "web has no healthy", "chosen on these same rows", "15 bins of equal width"):
        assert words in text
    for picture in re.findall(r"!\[[^]]*]\(([^)]+)\)", text):
        assert (folder / picture).is_file()
    assert "nan" not in text.lower()
    assert "all rows, checkpoint (n = 120)" in summary_text(done)


def test_what_a_source_cannot_define_is_null_with_the_reason(done: Evaluation) -> None:
    web = next(s for s in json.loads(done.metrics.read_text())["slices"] if s["name"] == "web")
    assert web["figures"]["auroc_abnormal"]["value"] is None
    assert web["figures"]["auroc_abnormal"]["reason"] == "no row of healthy"
    assert web["figures"]["sensitivity_fractured"]["value"] is not None
    assert "– (no row of healthy)" in done.report.read_text()


def test_few_rows_give_counts_and_no_interval() -> None:
    rows = scored()
    keep = np.ones(120, dtype=bool)
    keep[np.flatnonzero(rows.labels == 2)[7:]] = False
    part = next(slices_of(rows))
    found = figures_of(rows, type(part)("source", "few", keep), 0.85, QUICK)
    assert found.figures["sensitivity_beyond_repair"].interval is None
    assert found.figures["sensitivity_beyond_repair"].reason == "only 7 rows of beyond_repair"
    assert found.figures["balanced_accuracy"].interval is None
    assert found.figures["sensitivity_fractured"].interval is not None
    assert found.counts["correct_beyond_repair"] is not None


def test_rows_of_few_groups_give_a_rough_interval_or_none() -> None:
    labels = scored().labels
    severe = np.flatnonzero(labels == 2)
    for spread, expected in ((3, "only 3 groups"), (7, "rough: only 7 groups")):
        groups = np.array([f"g{index}" for index in range(120)], dtype=object)
        groups[severe] = [f"severe {index % spread}" for index in range(len(severe))]
        rows = scored(groups=groups.tolist())
        figure = figures_of(rows, next(slices_of(rows)), 0.85, QUICK).figures["sensitivity_beyond_repair"]
        assert figure.reason == expected
        assert (figure.interval is None) == (spread == 3)


def test_a_figure_that_no_resample_changes_has_no_interval() -> None:
    rows = scored()
    perfect = figures_of(rows, next(slices_of(rows)), 0.85, QUICK, "perfect", np.eye(3)[rows.labels])
    assert perfect.figures["accuracy"].value == 1.0
    assert perfect.figures["accuracy"].interval is None


def test_a_person_reads_names_and_no_keys(done: Evaluation) -> None:
    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for inner in value.values() for key in keys(inner)}
        return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()

    known = {key for key in keys(json.loads(done.metrics.read_text())) if "_" in key} - set(NAMES)
    assert "auroc_ovr_macro" in known and "sensitivity_fractured_at_specificity_85" in known
    for text in (done.report.read_text(), re.sub(r"data:[^\"]+", "", done.page.read_text()), summary_text(done)):
        read = {word.strip(".") for word in re.findall(r"[\w.]+", text.replace("\\_", "_"))}
        assert not read & known
    assert "AUROC, one against rest, mean" in done.report.read_text()


def test_figures_plots_and_errors_come_before_the_long_tables(done: Evaluation) -> None:
    order = [
        "In short", "Does it look at the break?", "Plots", "Worst errors", "What was evaluated", "By source, baselines beside the model",
        "By region", "Every figure, all rows", "Calibration", "Verdicts", "How the figures were made",
    ]  # fmt: skip
    text = done.report.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == order
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", done.page.read_text()) == order
    first = text.split("## Does it look at the break?")[0]
    assert [line.split("|")[1:3] for line in first.splitlines() if line.startswith("|")][2:] == [
        [" all rows ", " checkpoint "], [" all rows ", " even "], [" hospital ", " checkpoint "], [" web ", " checkpoint "],
    ]  # fmt: skip
    cells = [figure_cell(done.tables[0].figures["auroc_abnormal"]), "even", "hospital"]
    page = re.sub(r"</?span[^>]*>", "", done.page.read_text())
    assert all(cell in text and cell in page for cell in cells)


def test_regions_and_sources_of_few_films_share_one_line(tmp_path: Path) -> None:
    regions = ["hand"] * 100 + ["hip"] * 12 + ["jaw", "jaw", "rib", "toe", "<b>elbow</b>", *(f"finger {n}" for n in range(3))]
    done = evaluate_probabilities(scored(regions=regions), tmp_path, ABOUT, resampling=QUICK, least_rows=10)
    section = done.report.read_text().split("## By region")[1].split("\n## ")[0]
    assert [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")][2:] == ["hand", "hip"]
    assert "7 regions with fewer than 10 films each: 8 films (jaw 2, &lt;b&gt;elbow&lt;/b&gt; 1, finger 0 1," in section
    apart = {table["name"] for table in json.loads(done.metrics.read_text())["slices"] if table["kind"] == "region"}
    assert {"jaw", "rib", "toe", "<b>elbow</b>"} <= apart, "nothing is lost from metrics.json"

    sources = ["hospital"] * 113 + ["web"] * 7
    done = evaluate_probabilities(scored(sources=sources), tmp_path, ABOUT, resampling=QUICK, least_rows=10)
    for text in (done.report.read_text(), summary_text(done)):
        assert "1 source with fewer than 10 films: 7 films (web 7); not shown apart" in text


def test_a_report_says_what_its_remarks_mean_and_only_those(tmp_path: Path) -> None:
    rows = scored()
    keep = np.r_[np.flatnonzero(rows.labels != 2), np.flatnonzero(rows.labels == 2)[:6]]
    few = scored(
        **{name: getattr(rows, name)[keep] for name in ("labels", "probabilities")},
        **{name: [getattr(rows, name)[row] for row in keep] for name in ("groups", "image_ids")},
        sources=["hospital"] * len(keep),
        regions=["hand"] * len(keep),
    )
    text = evaluate_probabilities(few, tmp_path, ABOUT, resampling=QUICK).report.read_text()
    assert "only 6 rows of beyond" in text
    assert "**only … rows of …**: the figure needs films of that class, and there are that many. An interval is given from 10 on" in text
    assert "no row of" not in text


def test_small_marks_of_a_plot_keep_their_colours(tmp_path: Path) -> None:
    figure = Figure(figsize=(4, 4))
    axes = figure.subplots()
    for place, colour in enumerate(SERIES):
        axes.plot(place, place, marker="X", markersize=6, markeredgecolor="black", color=colour)
        axes.text(place, place, "many grey letters beside it")
    save_figure(figure, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for colour in SERIES:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert np.abs(pixels - wanted).max(axis=1).min() <= 24, colour


def test_markdown_cells_hold_no_markup() -> None:
    assert plain("a|b\n<i>`c`*d*_e_[f](g)") == "a\\|b &lt;i&gt;\\`c\\`\\*d\\*\\_e\\_\\[f\\](g)"


def test_no_rows_is_an_error_that_says_so(tmp_path: Path) -> None:
    nothing = ScoredRows(NAMES, 0, np.zeros(0, dtype=np.int64), np.zeros((0, 3)), [], [], [], [])
    with pytest.raises(ValueError, match="no row to score"):
        evaluate_probabilities(nothing, tmp_path, ABOUT)


def test_statistics_see_size_brightness_and_borders() -> None:
    pixels = np.full((40, 80), 100, dtype=np.uint8)
    pixels[:2] = 255
    found = dict(zip(STATISTICS, image_statistics(pixels), strict=True))
    assert (found["width"], found["height"], found["aspect"]) == (80, 40, 2.0)
    assert (found["top_mean"], found["bottom_mean"], found["percentile_50"]) == (255, 100, 100)
    assert found["share_white"] == pytest.approx(0.05)


def test_the_forest_gives_zero_to_a_class_it_never_saw() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 2] * 30)
    train = rng.normal(size=(60, 3)) + labels[:, None]
    scores = forest_probabilities(train, labels, train, 3)
    assert scores[:, 1].max() == 0
    assert (scores.argmax(axis=1) == labels).mean() > 0.8


def test_licences_limit_the_baseline_rows() -> None:
    assert keep_licences(["a", "b", "a"], ["a"]).tolist() == [0, 2]
    assert keep_licences(["a", "b"], None).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"no training row .*\['a', 'b'\]"):
        keep_licences(["a", "b"], ["c"])
