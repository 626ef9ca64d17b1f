"""Several views of one examination are answered together. Run: pytest tests/inference/test_study.py"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import grey, png
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.images.opening import open_image
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER, UNREADABLE, Finding
from hf_bones.inference.predictor import BonePredictor
from hf_bones.inference.study.finding import study_finding
from hf_bones.inference.study.join import StudyJoin, study_join_from
from hf_bones.inference.study.lists import studies_of_dicom, studies_of_table
from hf_bones.inference.study.paths import predict_studies_into
from hf_bones.labels import THREE_CLASS

RULE = DecisionRule(1.0, THREE_CLASS, 56)


def view(source: str, *shares: float, **changes: object) -> Finding:
    named = dict(zip(THREE_CLASS.names, shares, strict=True))
    verdict = max(named, key=named.__getitem__)
    return replace(Finding(source, verdict, "a checkpoint", None, named, named, (verdict,)), **changes)


def test_a_study_is_answered_by_the_mean_of_the_log_probabilities_of_its_views() -> None:
    views = [view("frontal", 0.6, 0.3, 0.1), view("lateral", 0.1, 0.8, 0.1)]
    found = study_finding("wrist", views, RULE)
    by_hand = np.sqrt([0.6 * 0.1, 0.3 * 0.8, 0.1 * 0.1])
    assert list(found.probabilities.values()) == pytest.approx(by_hand / by_hand.sum())
    assert (found.verdict, found.study, found.source, found.views) == ("fractured", "wrist", "wrist", tuple(views))
    assert [each["source"] for each in found.to_dict()["views"]] == ["frontal", "lateral"]


def test_or_by_the_view_that_speaks_most_for_a_break() -> None:
    views = [view("frontal", 0.9, 0.05, 0.05), view("lateral", 0.4, 0.5, 0.1)]
    assert study_finding("wrist", views, RULE).verdict == "healthy"
    most = study_finding("wrist", views, replace(RULE, study=StudyJoin("most_abnormal")))
    assert most.verdict == "fractured" and list(most.probabilities.values()) == pytest.approx([0.4, 0.5, 0.1])


def test_what_is_no_film_is_left_out_and_said_to_be() -> None:
    nothing = view("page.png", 0.9, 0.05, 0.05, verdict=NOT_A_BONE_XRAY, reasons=("it looks like a page of text",))
    broken = Finding("torn.jpg", UNREADABLE, "a checkpoint", reasons=("undecodable_or_truncated",))
    found = study_finding("wrist", [nothing, view("frontal", 0.1, 0.8, 0.1), broken], RULE)
    assert found.verdict == "fractured" and found.probabilities["fractured"] == pytest.approx(0.8)
    assert found.reasons == (
        "page.png is left out: it looks like a page of text", "torn.jpg is left out: undecodable_or_truncated"
    )  # fmt: skip
    assert study_finding("wrist", [nothing, broken], RULE).verdict == NOT_A_BONE_XRAY
    empty = study_finding("wrist", [broken], RULE)
    assert empty.verdict == UNREADABLE and empty.probabilities == {} and not empty.readable


def test_thresholds_hold_for_a_study_as_for_a_film() -> None:
    careful = replace(RULE, thresholds={"healthy": 0.3, "fractured": 0.3, "beyond_repair": 0.3})
    found = study_finding("wrist", [view("a", 0.7, 0.2, 0.1), view("b", 0.3, 0.6, 0.1)], careful)
    assert found.verdict == REFER and set(found.prediction_set) == {"healthy", "fractured"}
    assert "both possible" in found.reasons[0]


def test_half_of_the_views_unfamiliar_refer_the_study() -> None:
    strange = view("a", 0.9, 0.05, 0.05, unfamiliar=True, verdict=REFER)
    assert study_finding("wrist", [strange, view("b", 0.9, 0.05, 0.05)], RULE).verdict == REFER
    assert study_finding("wrist", [strange, view("b", 0.9, 0.05, 0.05), view("c", 0.9, 0.05, 0.05)], RULE).verdict == "healthy"


@pytest.mark.parametrize("data", ["mean", {}, {"kind": "median"}])
def test_a_malformed_way_of_joining_names_file_and_key(data: object) -> None:
    with pytest.raises(ValueError, match=r"decision\.json: .*(study|kind)"):
        study_join_from(data, "decision.json")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for index, name in enumerate(["a1.png", "a2.png", "b1.png"]):
        (folder / name).write_bytes(png(grey(60 + index, 50, seed=index)))
    (folder / "a3.png").write_text("no film")
    (folder / "list.csv").write_text("file;Accession Number\na1.png;A\nb1.png;B\na2.png;A\na3.png;A\n")
    return folder


def test_a_table_says_which_files_are_a_study(films: Path) -> None:
    listed = studies_of_table(films / "list.csv")
    assert {study: [path.name for path in paths] for study, paths in listed.items()} == {
        "A": ["a1.png", "a2.png", "a3.png"],
        "B": ["b1.png"],
    }
    (films / "bare.csv").write_text("file,label\na1.png,healthy\n")
    with pytest.raises(SourceError, match=r"no column for the study.*file, label.*wanted one of: study"):
        studies_of_table(films / "bare.csv")
    (films / "gone.csv").write_text("file,study\na1.png,A\na9.png,A\n")
    with pytest.raises(SourceError, match=r"line 3: .*a9\.png is not there"):
        studies_of_table(films / "gone.csv")


def test_dicom_files_say_it_themselves(films: Path) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    uid = generate_uid()
    for name in ("one.dcm", "other.dcm", "none.dcm"):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(str(films / name), {}, file_meta=meta, preamble=bytes(128))
        data.PatientName = "Nobody"
        if name != "none.dcm":
            data.StudyInstanceUID = uid
        data.save_as(films / name)
    said: list[str] = []
    files = [films / name for name in ("one.dcm", "a1.png", "other.dcm", "none.dcm")]
    listed = studies_of_dicom(files, lambda path, why: said.append(f"{path.name}: {why}"))
    assert listed == {str(uid): [files[0], files[2]], str(files[1]): [files[1]], str(files[3]): [files[3]]}
    assert len(said) == 2 and all("names no study" in line for line in said)


def test_a_csv_of_studies_is_resumed_after_its_last_whole_study(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    studies, out = studies_of_table(films / "list.csv"), tmp_path / "out.csv"

    def opener(source: object, limits: object) -> object:
        return open_image(source)  # type: ignore[arg-type]

    counts = predict_studies_into(predictor, studies, out, opener=opener)
    assert sum(counts.values()) == 2
    whole = out.read_text()
    rows = list(csv.DictReader(whole.splitlines()))
    assert [(row["study"], Path(row["file"]).name) for row in rows] == [
        ("A", "a1.png"), ("A", "a2.png"), ("A", "a3.png"), ("A", ""), ("B", "b1.png"), ("B", "")
    ]  # fmt: skip
    out.write_text("\n".join(whole.splitlines()[:6]) + "\nB,torn")
    assert predict_studies_into(predictor, studies, out, opener=opener, resume=True) == counts
    assert out.read_text() == whole
    with pytest.raises(ValueError, match="the two do not go into one table"):
        predict_studies_into(predictor, studies, out, opener=opener, resume=True, mirror=True)


def test_the_command_answers_by_study(films: Path, checkpoint: Path) -> None:
    told = CliRunner().invoke(app, ["predict", "--studies", str(films / "list.csv"), "--model", str(checkpoint), "--json"])
    found = json.loads(told.stdout)
    assert [(each["study"], len(each["views"])) for each in found] == [("A", 3), ("B", 1)]
    assert "a3.png is left out" in " ".join(found[0]["reasons"])
