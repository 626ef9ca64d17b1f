"""The whole way, small. Run: pytest tests/test_quickstart.py"""

import json
import subprocess
import sys

import pytest
from repository import ROOT

from hf_bones import BonePredictor
from hf_bones.cli.main import run
from hf_bones.dataset.drawn.radiograph import draw_radiograph


@pytest.mark.slow
def test_the_quickstart_goes_from_drawing_to_a_report_and_says_what_the_model_learnt_from(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run("quickstart", "--out", str(tmp_path / "q"), "--images", "45") == 0
    printed = capfd.readouterr().out
    assert "drawn radiographs" in printed and f"make demo MODEL={tmp_path / 'q' / 'checkpoint'}" in printed
    checkpoint, report = tmp_path / "q" / "checkpoint", tmp_path / "q" / "report"
    for name in ("report.md", "metrics.json", "confusion.png", "roc.png", "reliability.png", "worst_errors.html"):
        assert (report / name).stat().st_size > 0
    (whole,) = (part for part in json.loads((report / "metrics.json").read_text())["slices"][:1])
    right = sum(whole["counts"][f"correct_{name}"] for name in whole["supports"])
    last = printed.splitlines()[-1]
    assert last.startswith(f"Right on {right} of {whole['n']} drawn films that it had not seen; guessing gets "), last
    record = json.loads((checkpoint / "record.json").read_text())
    assert record["data"]["synthetic_only"] is True
    assert len(record["test_looks"]) == 1
    assert "drawn" in (checkpoint / "README.md").read_text().lower()
    (finding,) = BonePredictor.from_pretrained(checkpoint).predict([draw_radiograph(1).pixels])
    assert sum(finding.probabilities.values()) == pytest.approx(1)


def test_the_readme_figures_are_those_of_the_result_files():
    done = subprocess.run([sys.executable, "scripts/docs/figures.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run python scripts/docs/figures.py"
