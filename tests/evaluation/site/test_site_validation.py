"""A site's own films, from their table to the report. Run: pytest tests/evaluation/site/test_site_validation.py"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import telling_checkpoint

from hf_bones.evaluation.site.choices import SiteChoices
from hf_bones.evaluation.site.results import SiteRun
from hf_bones.evaluation.site.run import validate_site
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.join import PatchJoin
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.pages.tables import write_csv

FILMS = 28
QUICK = {"repeats": 20, "worst": 2}


def write_films(folder: Path, name: str, count: int, brighter: int = 0) -> list[tuple[str, bool]]:
    """Noise of which every second picture is brighter: file and whether it is one of these."""
    (folder / name).mkdir()
    made = []
    for index in range(count):
        pixels = np.random.default_rng(index + brighter).normal(60 + 80 * (index % 2) + brighter, 20, (48, 36)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index:02}.png")
        made.append((f"{name}/{index:02}.png", bool(index % 2)))
    return made


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = telling_checkpoint(tmp_path_factory.mktemp("model") / "ward-model", size=28)
    write_decision(DecisionRule(temperature=2.0, scheme=THREE_CLASS, image_size=28), folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> tuple[Path, SiteRun]:
    """Films of a ward labelled in two words, one without a label and one that is not there; and what validating them wrote."""
    folder = tmp_path_factory.mktemp("site")
    rows = [
        (file, "abnormal" if broken else "normal", f"p{index // 2}", ("hand", "leg")[index % 2], 10 + 3 * index, "Doe^Jane")
        for index, (file, broken) in enumerate(write_films(folder, "secret_name", FILMS))
    ]
    rows += [("secret_name/gone.png", "normal", "p90", "leg", "", "")]
    rows[3] = (rows[3][0], "", *rows[3][2:])
    write_csv(folder / "ward.csv", ("file", "label", "patient", "region", "age", "patient_name"), rows)
    done = validate_site(folder / "ward.csv", checkpoint, folder / "out", SiteChoices(**QUICK), command="hf-bones site ward.csv")
    return folder, done


def test_every_film_is_scored_measured_or_named(site: tuple[Path, SiteRun]) -> None:
    _, done = site
    with done.films.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == FILMS + 1
    assert rows[3]["counted_as"] == "" and rows[3]["verdict"] in THREE_CLASS.names, "scored without a label"
    assert rows[-1]["verdict"] == "unreadable" and "unreadable_file" in rows[-1]["remark"]
    found = done.written
    assert found["films"] | {"left_out": {}} == {
        "rows": FILMS + 1, "groups": FILMS // 2 + 1, "grouped": True, "measured": FILMS - 1, "unlabelled": 1,
        "unreadable": {"unreadable_file": 1}, "left_out": {},
    }  # fmt: skip
    text = done.report.read_text(encoding="utf-8")
    assert "secret\\_name/gone.png" in text and "1 films have no label" in text

    # The shares are those of the rows.
    measured = [row for row in rows if row["counted_as"] and row["verdict"] != "unreadable"]
    broken = [row for row in measured if row["counted_as"] == "abnormal"]
    caught = sum(row["verdict"] != "healthy" for row in broken)
    share = found["measured"]["shipped"]["shares"]["sensitivity"]
    assert (share.hits, share.count) == (caught, len(broken))
    alarms = found["measured"]["shipped"]["shares"]["false_alarms"]
    assert (alarms.hits, alarms.count) == (sum(row["verdict"] != "healthy" for row in measured if row not in broken), FILMS // 2)


def test_the_page_stands_alone_and_site_json_names_nobody(site: tuple[Path, SiteRun]) -> None:
    folder, done = site
    page = done.page.read_text(encoding="utf-8")
    assert set(re.findall(r'src="([^,"]{0,22})', page)) == {"data:image/png;base64"}
    for section in ("Figures", "Subgroups", "Calibration", "Worst errors", "The CLAIM checklist"):
        assert f">{section}</h2>" in page
    kept = done.data.read_text(encoding="utf-8")
    assert not any(word in kept for word in ("secret_name", "Doe", '"p1"', str(folder)))
    assert "may name a person" in done.report.read_text(encoding="utf-8")
    ages = {group["value"] for group in json.loads(kept)["measured"]["subgroups"] if group["column"] == "age"}
    assert ages == {"under 18", "18 to 39", "40 to 64", "65 and over"}


def test_the_refitted_decision_stands_beside_the_checkpoint_and_not_in_it(site: tuple[Path, SiteRun], checkpoint: Path) -> None:
    _, done = site
    assert done.decision is not None and json.loads((checkpoint / "decision.json").read_text())["temperature"] == 2.0
    written = json.loads(done.decision.read_text())
    rule = read_decision(done.decision.parent)
    assert rule is not None and rule.temperature == 2.0 and rule.vector is not None
    assert rule.vector.scale == pytest.approx((1 / written["site"]["temperature"],) * len(THREE_CLASS.names))
    assert written["site"]["shipped"]["temperature"] == 2.0 and 0 < written["site"]["abnormal_from"] < 1


def test_unlabelled_films_are_compared_with_an_earlier_run(site: tuple[Path, SiteRun], checkpoint: Path, tmp_path: Path) -> None:
    _, before = site
    films = write_films(tmp_path, "later", 30, brighter=70)
    write_csv(tmp_path / "later.csv", ("file", "patient"), [(file, f"q{index}") for index, (file, _) in enumerate(films)])
    predictor = BonePredictor.from_pretrained(checkpoint)
    done = validate_site(tmp_path / "later.csv", predictor, tmp_path / "out", SiteChoices(compare=before.data, **QUICK))
    assert done.written["measured"] is None and done.decision is None
    compared = {each["name"]: each for each in done.written["comparison"]["changes"]}
    assert compared["mean"]["limit"] is None, "the first run has 14 patients, too few to say"
    text = done.report.read_text(encoding="utf-8")
    assert "## What has moved" in text and "## Figures" not in text and "nothing is measured" in text

    again = validate_site(tmp_path / "later.csv", predictor, tmp_path / "again", SiteChoices(compare=done.data, **QUICK))
    told = again.written["comparison"]
    assert told["cautions"] == ("Both validations are of the same films.",) and not any(each["moved"] for each in told["changes"])


@pytest.mark.parametrize(
    "lines, said",
    [
        (["file,label", "a.png,tumour"], "tumour.*--label-map 'tumour=abnormal'"),
        (["name,label", "a.png,normal"], "no column for file"),
        (["file,label", "a.png,normal"], "no file 'a.png'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_before_a_film_is_scored(
    tmp_path: Path, checkpoint: Path, lines: list[str], said: str
) -> None:
    (tmp_path / "ward.csv").write_text("\n".join(lines), encoding="utf-8")
    if "tumour" in said:
        Image.new("L", (30, 40)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=said):
        validate_site(tmp_path / "ward.csv", checkpoint, tmp_path / "out", SiteChoices())
    assert not (tmp_path / "out").exists()


def test_a_temperature_on_top_scales_patches_and_second_look_too() -> None:
    from hf_bones.evaluation.site.refit import site_decision

    rule = DecisionRule(temperature=0.7, scheme=THREE_CLASS, image_size=28, patches=PatchJoin(0.4, 0.9, -6.0))
    logits, evidence = np.random.default_rng(0).normal(0, 3, (20, 3)), np.linspace(2, 9, 20)
    shipped = rule.calibrated(logits, evidence)
    refitted = site_decision(rule, 1.7)
    assert np.allclose(softmax(refitted.calibrated(logits, evidence)), softmax(shipped / 1.7))
    twice = site_decision(refitted, 0.5)
    assert np.allclose(softmax(twice.calibrated(logits, evidence)), softmax(shipped / 0.85))
