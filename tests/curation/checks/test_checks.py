"""Running the checks: values in the manifest, judged again, resumed, dropped for.

Run: pytest tests/curation/checks/test_checks.py
"""

import csv
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_collection import bring, digest, jpeg, see
from small_films import build, encoded, picture, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.candidate import Candidate
from hf_bones.curation.checks import run as checks
from hf_bones.curation.checks.reasons import RULES, Reason
from hf_bones.curation.checks.report import write_report
from hf_bones.curation.checks.run import drop_flagged, run_checks
from hf_bones.curation.recipe import CheckSettings
from hf_bones.dataset.subject import open_subject
from hf_bones.manifest.store import open_manifest

SETTINGS = CheckSettings()


def values(subject, reason):
    """Hash → value of a reason."""
    return {row[0]: row[1] for row in subject.manifest.rows("SELECT sha256, value FROM checks WHERE reason = ?", (reason,))}


def flagged(subject, reason):
    return {row[0] for row in subject.manifest.rows("SELECT sha256 FROM checks WHERE reason = ? AND flagged", (reason,))}


def add_image(folder, name, body, label="healthy"):
    """An image that a search has brought; returns its hash."""
    with open_manifest(folder, create=True) as manifest:
        see(manifest, "commons", name, label, Candidate(f"http://127.0.0.1:9/{name}", licence="CC0-1.0"))
        return bring(manifest, f"http://127.0.0.1:9/{name}", body)


@pytest.fixture
def collection(tmp_path):
    """Three grainy pictures, a blank one, one refused as damaged and one refused as cut off."""
    folder = tmp_path / "collected"
    for seed in range(3):
        add_image(folder, f"{seed}.jpg", jpeg(seed, 120))
    add_image(folder, "blank.png", encoded(np.full((120, 120), 60, np.uint8)))
    add_image(folder, "damaged.png", encoded(picture(1, (120, 120)))[:-60])
    add_image(folder, "cut.jpg", jpeg(7, 120)[:-300])
    return folder


@pytest.fixture
def subject(collection):
    with open_subject(collection) as opened:
        yield opened


def test_every_value_of_every_image_is_kept_with_its_threshold(subject):
    done = run_checks(subject, SETTINGS)
    assert (done.measured, done.known) == (4, 0)
    for record in subject.manifest.images():
        rows = {
            row["reason"]: row for row in subject.manifest.connection.execute("SELECT * FROM checks WHERE sha256 = ?", (record.sha256,))
        }
        assert set(rows) == set(Reason) and all(row["value"] is not None and row["checked_at"] for row in rows.values())
        assert all(row["threshold"] == RULES[Reason(reason)].threshold(SETTINGS) for reason, row in rows.items())
    assert flagged(subject, Reason.BLANK) == {digest(encoded(np.full((120, 120), 60, np.uint8)))}
    assert not any(record.decision for record in subject.manifest.images())


def test_refused_files_are_judged_too(subject):
    done = {one.reason: one for one in run_checks(subject, SETTINGS).summaries}
    assert flagged(subject, Reason.UNREADABLE) == {digest(encoded(picture(1, (120, 120)))[:-60])}
    assert 0 < values(subject, Reason.TRUNCATED)[digest(jpeg(7, 120)[:-300])] < 1
    assert (done[Reason.UNREADABLE].flagged, done[Reason.UNREADABLE].measured) == (1, 5)
    assert (done[Reason.TRUNCATED].flagged, done[Reason.TRUNCATED].measured) == (1, 5)


def test_a_changed_threshold_judges_anew_without_reading_a_single_image(subject, monkeypatch):
    run_checks(subject, SETTINGS)
    before = values(subject, Reason.TOO_SMALL)

    def must_not_read(record):
        raise AssertionError("an image was read")

    again = dataclasses.replace(subject, read=must_not_read)
    done = run_checks(again, dataclasses.replace(SETTINGS, min_side=200))
    assert (done.measured, done.known) == (0, 4)
    assert flagged(subject, Reason.TOO_SMALL) == set(before) and values(subject, Reason.TOO_SMALL) == before
    run_checks(again, SETTINGS)
    assert not flagged(subject, Reason.TOO_SMALL)


def test_values_of_other_measures_are_measured_anew_and_other_tables_of_checks_left_alone(subject, monkeypatch):
    run_checks(subject, SETTINGS)
    subject.manifest.connection.execute("INSERT INTO checks VALUES ('a', 'of_somebody_else', 1, 1, 0, '', '')")
    monkeypatch.setattr(checks, "VERSION", 99)
    assert run_checks(subject, SETTINGS).measured == 4
    assert run_checks(subject, SETTINGS).measured == 0
    assert values(subject, "of_somebody_else") == {"a": 1.0}


def test_a_missing_file_is_unreadable_until_it_is_back(subject, collection):
    record = next(iter(subject.manifest.images()))
    path = collection / record.file
    path.rename(path.with_suffix(".away"))
    run_checks(subject, SETTINGS)
    assert record.sha256 in flagged(subject, Reason.UNREADABLE)
    path.with_suffix(".away").rename(path)
    assert run_checks(subject, SETTINGS).measured == 1
    assert record.sha256 not in flagged(subject, Reason.UNREADABLE)


def test_processes_measure_what_one_measures(tmp_path):
    folder = tmp_path / "many"
    for seed in range(50):
        add_image(folder, f"{seed}.jpg", jpeg(seed, 40))
    with open_subject(folder) as subject:
        run_checks(subject, SETTINGS, workers=2)
        by_two = {reason: values(subject, reason) for reason in Reason}
        subject.manifest.connection.execute("DELETE FROM checks")
        run_checks(subject, SETTINGS, workers=1)
        assert {reason: values(subject, reason) for reason in Reason} == by_two


def test_what_a_killed_run_had_measured_is_not_measured_again(tmp_path):
    folder = tmp_path / "many"
    for seed in range(120):
        add_image(folder, f"{seed}.jpg", jpeg(seed, 100))
    code = (
        "import sys; from pathlib import Path; from hf_bones.curation.checks.run import run_checks;"
        "from hf_bones.curation.recipe import CheckSettings;"
        "from hf_bones.curation.subject import collection_subject;"
        "run_checks(collection_subject(Path(sys.argv[1])), CheckSettings(), workers=1, batch=4)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    with open_manifest(folder) as manifest:
        while time.monotonic() < deadline and process.poll() is None:
            if manifest.connection.execute("SELECT count(*) FROM checks").fetchone()[0] >= 5 * len(Reason):
                break
            time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with open_subject(folder) as subject:
        done = run_checks(subject, SETTINGS, workers=1)
        assert done.known >= 5 and done.measured + done.known == 120 and done.measured > 0
        assert len(values(subject, Reason.BLURRY)) == 120


def test_dropping_is_asked_for_by_reason_and_never_overrules_a_person(tmp_path):
    folder = tmp_path / "some"
    blank = [add_image(folder, f"{grey}.png", encoded(np.full((120, 120), grey, np.uint8))) for grey in (10, 20, 30, 40)]
    add_image(folder, "fine.jpg", jpeg(1, 120))
    with open_subject(folder) as subject:
        manifest = subject.manifest
        manifest.decide(blank[0], "keep", "a test card", "ada")
        manifest.decide(blank[1], "relabel", "", "ada", label="fractured")
        taken_back = manifest.decide(blank[2], "drop", "blank: 0", "checks")
        manifest.undo(taken_back, "ada")
        run_checks(subject, SETTINGS)
        assert drop_flagged(manifest, [Reason.BLURRY, Reason.MULTI_PANEL]) == (1, 0)  # what is blank has no detail either
        assert drop_flagged(manifest, [Reason.BLANK]) == (0, 0)
        standing = {record.sha256: (record.decision, record.decided_by) for record in manifest.images() if record.decision}
        assert standing == {blank[0]: ("keep", "ada"), blank[3]: ("drop", "checks")}
        assert "blurry: 0, threshold 0.21" in manifest.image(blank[3]).decision_reason

        run_checks(subject, dataclasses.replace(SETTINGS, min_fine_detail=0.0))
        assert drop_flagged(manifest, [Reason.MULTI_PANEL]) == (0, 1)  # no longer flagged for what it was dropped for
        assert manifest.image(blank[3]).decision == "" and [log.decision for log in manifest.decisions("d.sha256 = ?", (blank[3],))] == [
            "drop",
            "undo",
        ]


def test_a_drop_of_another_program_stays_and_does_not_shield_an_image(tmp_path):
    folder = tmp_path / "some"
    blank = [add_image(folder, f"{grey}.png", encoded(np.full((120, 120), grey, np.uint8))) for grey in (10, 20)]
    with open_subject(folder) as subject:
        subject.manifest.decide(blank[0], "drop", "copy of another", "curate dedup")
        undone = subject.manifest.decide(blank[1], "drop", "copy of another", "curate dedup")
        subject.manifest.undo(undone, "curate dedup")
        run_checks(subject, SETTINGS)
        assert drop_flagged(subject.manifest, [Reason.BLANK]) == (1, 0)
        assert subject.manifest.image(blank[0]).decided_by == "curate dedup" and subject.manifest.image(blank[1]).decided_by == "checks"


def test_what_is_forgotten_during_a_run_leaves_no_trace(subject):
    record = next(iter(subject.manifest.images()))
    subject.manifest.connection.execute("INSERT INTO tombstones VALUES (?, '', '')", (record.sha256,))
    run_checks(subject, SETTINGS)
    assert record.sha256 not in values(subject, Reason.BLURRY)


def test_a_built_dataset_is_checked_where_it_stands(tmp_path):
    rows = rows_of(9)
    build(
        [*rows, dataclasses.replace(rows[0], content=encoded(np.full((40, 48), 9, np.uint8)), image_id="blank", group="x")], tmp_path / "d"
    )
    with open_subject(tmp_path / "d") as subject:
        assert run_checks(subject, SETTINGS).measured == 10
        (blank,) = flagged(subject, Reason.BLANK)
        assert subject.manifest.image(blank).title == "blank"


def test_the_report_shows_the_worst_with_their_pictures_and_lists_all_values(collection, tmp_path):
    with open_manifest(collection) as manifest:
        record = next(manifest.images())
        manifest.set_columns(record.sha256, {"region": "<script>alert(1)</script>"})
    with open_subject(collection) as subject:
        run_checks(subject, SETTINGS)
        page, table = write_report(subject, SETTINGS, tmp_path / "report", per_reason=4)
    text = page.read_text(encoding="utf-8")
    assert all(f'id="{reason}"' in text for reason in Reason)
    assert "<script" not in text and "&lt;script&gt;" in text
    assert not re.search(r'(?:src|href)="(?!data:image/jpeg;base64,|#)', text)  # nothing from elsewhere
    assert text.count("no picture") == 1  # the damaged one; what was only cut off is shown as far as it goes
    with table.open(newline="", encoding="utf-8") as stream:
        rows = {row["sha256"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 6 and {row["decision"] for row in rows.values()} == {"", "refused"}
    blank = rows[digest(encoded(np.full((120, 120), 60, np.uint8)))]
    assert "blank" in blank["flagged"].split(";") and float(blank["blank"]) == 0


def test_the_command_prints_a_line_a_reason_and_goes_on_where_it_was(collection, tmp_path):
    def run(*options):
        result = CliRunner().invoke(app, ["curate", "checks", str(collection), "--workers", "1", *map(str, options)])
        assert result.exit_code == 0, result.output
        return result.output

    first = run("--report", tmp_path / "report")
    assert all(reason in first for reason in Reason) and "4 images measured, 0 known from before" in first
    assert "refused though only cut off: 1" in first and (tmp_path / "report" / "checks.html").is_file()
    again = run("--drop", "blank")
    assert "0 images measured, 4 known from before" in again and "dropped by the checks: 1" in again


def test_what_the_user_can_mend_is_one_line(tmp_path, collection):
    def error(*arguments):
        result = CliRunner().invoke(app, ["curate", "checks", *map(str, arguments)])
        assert result.exit_code == 2
        return result.output

    recipe = tmp_path / "mine.yaml"
    recipe.write_text("checks: {min_entropi: 2}")
    assert "did you mean 'min_entropy'" in error(collection, "--recipe", recipe)
    recipe.write_text("checks: {max_flat_share: 7}")
    assert "checks.max_flat_share: expected a number in [0, 1], got 7" in error(collection, "--recipe", recipe)
    assert "nowhere: no such folder" in error(tmp_path / "nowhere")
    assert "blnak" in error(collection, "--drop", "blnak")
    build(rows_of(9), tmp_path / "built")
    assert "hf-bones build … --salvage-truncated" in error(tmp_path / "built", "--salvage-truncated")
