"""The figures of throughput.py's runs on one kind of GPU as one results file: python scripts/bench/gpu/throughput_record.py

Reads results/throughput/*.json and writes results/throughput.json, which holds the fastest of each configuration. In the runs of
`waiting_for_the_gpu` the host still waited for the GPU several times a step; those of `not_waiting` came after that was mended.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

# ruff: noqa: E402 - it is found there
from result_file import RESULTS, bar, write_result
from throughput_table import Measured, bars

from hf_bones.record import read_json, sha256_rows


def main() -> None:
    files = sorted((RESULTS / "throughput").glob("*.json"))
    runs = [read_json(path) for path in files]
    (machine,) = {run["machine"] for run in runs}  # figures of different cards do not belong in one table
    rows = [Measured(**row) for run in runs for row in run["rows"]]
    lines = [bar(f"{machine}: product of two bf16 matrices of 8192², TFLOP/s", max(run["matmul_tflops"] for run in runs), n=len(runs))]
    digest = sha256_rows([(row.network, row.images_per_second) for row in rows])
    command = "python scripts/bench/gpu/throughput.py --images DATA --out FILE, then throughput_record.py"
    write_result("throughput", command, digest, False, lines + bars(rows, {}), machine)


if __name__ == "__main__":
    main()
