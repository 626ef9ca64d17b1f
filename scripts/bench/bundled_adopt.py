"""Puts a finished checkpoint into the package as the bundled model: judged on test and drawn films, with its card. Part of `bundled.py` and
`bundled_decision.py`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.figures import CHECKPOINT
from hf_bones.evaluation.report.run import evaluate_checkpoint
from hf_bones.hub.card import METRICS_FILE, write_card
from hf_bones.hub.push import files_to_push
from hf_bones.inference.checkpoint import BUNDLED, find_folder
from hf_bones.record import read_json

TITLE = "hf_bones: the bundled model"
LICENCES = ("CC-BY-4.0", "CC0-1.0", "LicenseRef-PD")
LIMIT_MB = 16.0
ROOT = Path(__file__).parents[2]


def shipped_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """What the package carries of them: not the baselines by region, which no card shows."""
    return {**metrics, "slices": [each for each in metrics["slices"] if each["model"] == CHECKPOINT or each["kind"] != "region"]}


def adopt(out: Path, splits: Any) -> None:
    """Judges the model on test and on drawn films, and puts what belongs to a checkpoint into the package."""
    report = out / "report"
    evaluate_checkpoint(out, splits, report, EvaluateChoices(baseline_licences=LICENCES, worst=0))
    write_card(out, name=TITLE, evaluation=report)
    metrics = out / METRICS_FILE
    metrics.write_text(json.dumps(shipped_metrics(read_json(metrics)), separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")
    judge = [ROOT / "scripts" / "judge_drawn.py", out, "--examples"]
    subprocess.run([sys.executable, *map(str, judge)], check=True)
    files = files_to_push(out)
    size = sum(path.stat().st_size for path in files) / 1e6
    if size > LIMIT_MB:
        raise SystemExit(f"not adopted: {size:.2f} MB, over {LIMIT_MB:g} MB")
    package = find_folder(BUNDLED)
    for old in package.iterdir():
        old.unlink()
    for path in files:
        shutil.copyfile(path, package / path.name)
    print(f"adopted     {package}, {size:.2f} MB; now run scripts/docs/figures.py and scripts/docs/screenshots.py demo report")
