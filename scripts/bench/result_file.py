"""The file every benchmark writes: scripts/bench/results/<name>.json, and the table it prints.

Each bar is a mapping with `bar`, `value`, `interval` (or null), `n`, `target`, `holds` and `peer`.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_bones.record import now, write_json

RESULTS = Path(__file__).parent / "results"


def bar(
    name: str,
    value: float,
    *,
    n: int,
    interval: Sequence[float | None] | None = None,
    target: float | None = None,
    at_most: bool = False,
    peer: str | None = None,
) -> dict[str, Any]:
    """One measured line. `holds` is None without a target; `at_most` says that lower is better."""
    holds = None if target is None else bool(value <= target if at_most else value >= target)
    return {"bar": name, "value": value, "interval": interval, "n": n, "target": target, "holds": holds, "peer": peer}


def write_result(
    name: str, command: str, data_sha256: str, quick: bool, bars: Sequence[Mapping[str, Any]], machine: str | None = None
) -> Path:
    """Writes and prints the result. `command` names the data by the word DATA, not by a path of this machine.

    `machine` says what measured, where that was another than this one.
    """
    revision = _git("rev-parse", "HEAD")
    path = RESULTS / f"{name}{'-quick' if quick else ''}.json"
    write_json(
        path,
        {
            "command": command,
            "revision": revision,
            "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
            "data_sha256": data_sha256,
            "machine": machine or f"{os.cpu_count()} CPU cores, {platform.machine()}",
            "date": now(),
            "quick": quick,
            "bars": list(bars),
        },
    )
    for line in bars:
        interval = line["interval"]
        span = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval and interval[0] is not None else ""
        target = "" if line["target"] is None else f"  target {line['target']} {'holds' if line['holds'] else 'MISSED'}"
        print(f"{line['bar']:<72}{line['value']:.3f}{span}  n={line['n']}{target}")
    print(f"written: {path}")
    return path


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()
