"""What `hf-bones quickstart` ends with, and how long it takes: balanced accuracy on the drawn films that its model has not seen.

    python scripts/bench/quickstart.py

Three seeds, each a process of its own: another set of films and another training each time. The forest reads size, brightness and borders
of the same films.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import Bar, arguments, bar, work_folder, write_result

from hf_bones.evaluation.report.baselines import FOREST
from hf_bones.evaluation.report.figures import CHECKPOINT
from hf_bones.record import read_json, sha256_rows

SEEDS = (0, 1, 2)
AT_LEAST, FOREST_AT_MOST, SECONDS_AT_MOST = 0.80, 0.50, 240


def main() -> None:
    parser = arguments(__doc__, needs_data=False)
    parser.add_argument("--work", type=Path, help="keep what the runs leave here")
    options = parser.parse_args()
    seeds, images = ((0,), 60) if options.quick else (SEEDS, 300)
    with work_folder(options.work) as folder:
        runs = [run(folder / f"seed-{seed}", seed, images) for seed in seeds]
    digest = sha256_rows([(found["sha256"],) for found in runs])
    write_result("quickstart", "quickstart.py", digest, bars(runs), quick=options.quick)


def run(out: Path, seed: int, images: int) -> dict[str, Any]:
    """One quickstart: seconds on the clock and of the processor, and its figures on all test films."""
    before, started = processor_seconds(), time.monotonic()
    command = [sys.executable, "-m", "hf_bones", "quickstart", "--out", str(out), "--images", str(images), "--seed", str(seed)]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    seconds, processor = time.monotonic() - started, processor_seconds() - before
    measured = read_json(out / "report" / "metrics.json")
    models = {part["model"]: part for part in measured["slices"] if part["kind"] == "all"}
    return {"seconds": seconds, "processor": processor, "sha256": measured["dataset"]["sha256"], "models": models}


def processor_seconds() -> float:
    """User and system time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bars(runs: list[dict[str, Any]]) -> list[Bar]:
    """Films pooled over the seeds where they are counted; the lowest and the longest run where a bar has to hold for each."""
    found: list[Bar] = []
    ours, forests = ([each["models"][name]["figures"]["balanced_accuracy"]["value"] for each in runs] for name in (CHECKPOINT, FOREST))
    films = sum(each["models"][CHECKPOINT]["n"] for each in runs)
    times, span = [each["seconds"] for each in runs], f"{len(runs)} seeds"
    found.append(bar(f"balanced accuracy on unseen drawn films, lowest of {span}", min(ours), n=films // len(runs), target=AT_LEAST))
    found.append(bar(f"balanced accuracy on unseen drawn films, mean of {span}", sum(ours) / len(ours), n=films))
    for label in runs[0]["models"][CHECKPOINT]["supports"]:
        parts = [each["models"][CHECKPOINT] for each in runs]
        total = sum(part["supports"][label] for part in parts)
        found.append(bar(f"recall of {label}", sum(part["counts"][f"correct_{label}"] for part in parts) / total, n=total))
    forest = sum(forests) / len(forests)
    found.append(bar(f"{FOREST} on the same films, mean of {span}", forest, n=films, target=FOREST_AT_MOST, at_most=True))
    found.append(bar(f"seconds from start to end, longest of {span}", max(times), n=len(runs), target=SECONDS_AT_MOST, at_most=True))
    found.append(bar(f"seconds of processor time, mean of {span}", sum(each["processor"] for each in runs) / len(runs), n=len(runs)))
    return found


if __name__ == "__main__":
    main()
