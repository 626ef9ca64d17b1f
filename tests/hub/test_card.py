"""The model card. Run: pytest tests/hub/test_card.py"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from saved_run import NAME, RECORD
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.evaluation.drawn_films import RECORD_KEY, JudgedFilm, judged_counts
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.report import EvaluationSetup, evaluate_probabilities
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.hub.card import card_text, write_card
from hf_bones.hub.card_decision import decision_lines
from hf_bones.hub.push import files_to_push
from hf_bones.inference.conformal import Conformal
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.gate.fitted import GateRule
from hf_bones.inference.study.join import StudyJoin
from hf_bones.inference.vector import VectorScaling
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json, write_json


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of made-up probabilities on rows of two sources, with a baseline."""
    folder = tmp_path_factory.mktemp("evaluation")
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 40, 20])
    scores = np.eye(3)[labels] * 0.2 + rng.dirichlet([1, 1, 1], 120) * 0.8
    rows = ScoredRows(
        names=THREE_CLASS.names,
        normal_id=0,
        labels=labels,
        probabilities=scores,
        groups=[f"g{index // 3}" for index in range(120)],
        sources=["fracatlas"] * 90 + ["scraped"] * 30,
        regions=["hand"] * 120,
        image_ids=[str(index) for index in range(120)],
        image=lambda index: Image.new("L", (40, 40)),
    )
    about = EvaluationSetup("run", "/home/ada/bones", "test", "ef" * 32, looks=2)
    baseline = {"majority": np.tile([0.9, 0.05, 0.05], (120, 1))}
    evaluate_probabilities(rows, folder, about, baselines=baseline, resampling=Resampling(repeats=50))
    return folder


def front_matter(text: str) -> dict[str, object]:
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1])


def test_the_card_has_every_part(checkpoint: Path, evaluation: Path) -> None:
    text = write_card(checkpoint, name=NAME, evaluation=evaluation).read_text()
    matter = front_matter(text)
    assert matter["license"] == "apache-2.0" and matter["library_name"] == "transformers"
    assert matter["pipeline_tag"] == "image-classification" and matter["base_model"] == "facebook/dinov2-small"
    assert "datasets" not in matter, "the record names no Hub dataset"
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["What it is", "Labels", "Training data", "Figures", "Calibration", "How to use", "Limits", "Provenance"]
    assert "not a medical device" in text and "not a radiological term" in text
    for label in THREE_CLASS.classes:
        assert label.definition in text
    assert f"# {NAME}" in text and f'BonePredictor.from_pretrained("{NAME}")' in text and 'backend="pil"' in text
    assert "| train | 30 | 20 | 10 |" in text and "CC-BY-4.0 (78)" in text
    assert "Temperature 2.000 (fitted on 18 validation images)" in text
    assert "AUROC(abnormal) 0.812" in text and "healthy 7 of 9" in text
    assert "- Command: `hf-bones train --recipe quickstart --dataset 'my films' --out runs/mine`" in text
    assert "learnt from drawn" not in text
    assert not re.search(r"\b(nan|none|null)\b", text, re.IGNORECASE)


def test_the_card_shows_each_source_apart_with_intervals_counts_and_baselines(checkpoint: Path, evaluation: Path) -> None:
    text = write_card(checkpoint, evaluation=evaluation).read_text()
    rows = [line for line in text.splitlines() if line.startswith(("| all |", "| fracatlas only |", "| scraped only |"))]
    assert len(rows) == 6 and sum("**this model**" in row for row in rows) == 3 and sum("baseline: majority" in row for row in rows) == 3
    assert re.search(r"\d\.\d\d \(\d\.\d\d–\d\.\d\d\)", rows[0]) and re.search(r"\d+ of 60: ", rows[0])
    assert "– (" in next(row for row in rows if row.startswith("| scraped")), "scraped rows have no healthy film, so no AUROC"
    assert "look number 2" in text and "/home/ada" not in text
    assert {"metrics.json", "roc.png", "confusion.png"} <= {path.name for path in files_to_push(checkpoint)}
    assert not any("worst" in path.name for path in files_to_push(checkpoint))


def test_what_is_not_there_is_not_invented(checkpoint: Path) -> None:
    for name in ("record.json", "decision.json"):
        (checkpoint / name).unlink()
    text = card_text(checkpoint)
    assert front_matter(text)["license"] == "other" and "base_model" not in front_matter(text)
    figures = text[text.index("## Figures") : text.index("## How to use")]
    assert figures.count("not measured") == 3 and not re.search(r"\d\.\d", figures)
    assert "not calibrated" in text and "licences not recorded" in text
    assert THREE_CLASS.definition("fractured") in text, "the names are those of the shipped scheme"


def test_a_model_of_drawn_images_says_so(checkpoint: Path) -> None:
    data = {**RECORD["data"], "synthetic_only": True, "licences": {"CC0-1.0": 300}}
    write_json(checkpoint / "record.json", {**RECORD, "data": data})
    assert "learnt from drawn radiographs only" in card_text(checkpoint)


def test_drawn_films_that_were_judged_are_counted_in_the_card(checkpoint: Path) -> None:
    assert "unselected drawn" not in card_text(checkpoint)
    films = [JudgedFilm(SimpleNamespace(label=label), said) for label in THREE_CLASS.names for said in ("healthy", label, "refer")]
    write_json(checkpoint / "record.json", {**RECORD, RECORD_KEY: judged_counts(films)})
    said = "Right on 4 of 9 unselected drawn radiographs, by its verdict: healthy 2 of 3; fractured 1 of 3; beyond_repair 1 of 3."
    assert said in card_text(checkpoint).replace("\\", "")


def test_the_card_tables_the_candidates_it_was_chosen_from_and_marks_what_chose(checkpoint: Path) -> None:
    rows = [
        {"measure": "mean over sources", "n": 40, "values": [0.75, 0.7], "intervals": [[0.7, 0.8], None]},
        {"measure": "recall, one | two", "n": 12, "values": [0.5, 0.25], "intervals": [[0.3, 0.7], [None, None]]},
    ]
    told = {"candidates": {"names": ["this model", "the one before"], "chosen_by": ["mean over sources"], "rows": rows}}
    told["candidates"]["difference"] = {"measure": "bare films", "value": 0.02, "interval": [-0.01, 0.05]}
    assert "How it was chosen" not in card_text(checkpoint)
    write_json(checkpoint / "record.json", {**RECORD, **told})
    card = card_text(checkpoint)
    assert "| **mean over sources** | 40 | 0.750 (0.700–0.800) | 0.700 |" in card
    assert "| recall, one \\| two | 12 | 0.500 (0.300–0.700) | 0.250 |" in card and "| figure | n | this model | the one before |" in card
    assert "bare films: +0.020 (-0.010 to +0.050), film by film." in card


def test_unclear_licences_are_not_passed_off_as_clear(checkpoint: Path) -> None:
    write_json(checkpoint / "record.json", {**RECORD, "data": {**RECORD["data"], "licences": {"CC-BY-4.0": 10, "unclear": 3}}})
    text = card_text(checkpoint)
    assert front_matter(text)["license"] == "other" and "Trained on rows under unclear" in text


def test_figures_of_other_classes_are_refused(checkpoint: Path, evaluation: Path, tmp_path: Path) -> None:
    metrics = json.loads((evaluation / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps({**metrics, "classes": ["healthy", "fractured"]}))
    with pytest.raises(ValueError, match="evaluate it again"):
        write_card(checkpoint, evaluation=tmp_path)


def test_text_from_files_cannot_break_the_card(checkpoint: Path) -> None:
    data = {**RECORD["data"], "dataset": "a|b\n<script>\n## Limits"}
    write_json(checkpoint / "record.json", {**RECORD, "data": data, "base_model_id": "x/y\n- evil: 1"})
    text = card_text(checkpoint)
    assert "<script" not in text and len(re.findall(r"^## Limits", text, re.MULTILINE)) == 1
    assert "evil" not in front_matter(text) and "base_model" not in front_matter(text)


def test_the_command_writes_the_card_checks_and_lists(checkpoint: Path, evaluation: Path) -> None:
    (checkpoint / "README.md").unlink()
    command = ["push", str(checkpoint), NAME, "--evaluation", str(evaluation), "--dry-run"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert {"README.md", "metrics.json", "confusion.png"} <= set(done.output.split()) and "would push to" in done.output
    assert f"# {NAME}" in (checkpoint / "README.md").read_text()
    for wrong in (["push", "nowhere", NAME, "--dry-run"], [*command, "--keep-card"]):
        assert CliRunner().invoke(app, wrong).exit_code == 2


def test_sources_of_few_films_share_one_line_of_the_card(checkpoint: Path, evaluation: Path, tmp_path: Path) -> None:
    measured = read_json(evaluation / "metrics.json")
    for part in measured["slices"]:
        if part["name"] == "scraped":
            part["n"] = 4
    write_json(tmp_path / "metrics.json", measured)
    text = write_card(checkpoint, evaluation=tmp_path).read_text()
    assert "scraped only" not in text and "1 source with fewer than 10 films: 4 films (scraped 4); not shown apart." in text


def test_a_rule_that_refers_and_a_gate_are_told_with_their_figures(checkpoint: Path, evaluation: Path) -> None:
    levels = dict.fromkeys(THREE_CLASS.names, 0.1)
    rule = DecisionRule(
        1.0,
        THREE_CLASS,
        56,
        dict.fromkeys(THREE_CLASS.names, 0.25),
        conformal=Conformal(levels, dict.fromkeys(THREE_CLASS.names, 40), "validation", abnormal_together=True, before_scaling=True),
        gate=GateRule(3.0, 2.0, 30.0, 0.8, 2.0, 4.5, {"films": 200, "refused": 0.015, "unfamiliar": 0.04, "drawn_of_each": 4,
                                                 "drawn_refused": {"plot": 1.0, "noise": 0.5}}),
        vector=VectorScaling((1.0, 1.0, 1.2), (0.0, 0.1, 0.2)),
        study=StudyJoin("mean", {"studies": 30, "auroc_abnormal": {"mean": 0.95, "most_abnormal": 0.93, "one view": 0.9}}),
    )  # fmt: skip
    share = {"count": 30, "of": 40, "value": 0.75, "interval": [0.6, 0.85]}
    nothing = {"count": 0, "of": 0, "value": None, "interval": None}
    decisions = [{"name": "all classes", "covered": share, "decided": share, "referred": share, "wrong": nothing, "missed": share}]
    told = "\n".join(decision_lines(rule, {"decisions": decisions}))
    assert "| fractured | 0.1 | 40 | 0.250 |" in told and "likeliest is the verdict" in told and "before the scaling" in told
    assert "| all classes | 30 of 40: 0.75 (0.60–0.85) |" in told and "| – |" in told
    assert (
        "Of validation films 1.5 % are refused, 4 % refused or unfamiliar." in told
        and "2 kinds that are no film it refuses 0.75 (not all of: noise)." in told
    )
    assert "AUROC 0.950, one view alone 0.900, on 30 studies" in told
    assert decision_lines(DecisionRule(1.0, THREE_CLASS, 56), {}) == []
