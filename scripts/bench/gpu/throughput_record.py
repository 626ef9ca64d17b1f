"""The figures of throughput.py's runs on one kind of GPU as one results file: python scripts/bench/gpu/throughput_record.py

Reads results/throughput/*.json and writes results/throughput.json, which holds the fastest of each configuration. In the runs of
`waiting_for_the_gpu` the host still waited for the GPU several times a step; those of `not_waiting` came after that was mended.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

# ruff: noqa: E402 - it is found there
from harness import RESULTS, Bar, bar, write_result

from hf_bones.record import read_json, sha256_rows

OURS, PLAIN, ALONE, FORWARD = "ours", "plain recipe", "compute alone", "forward alone"


@dataclass
class Measured:
    """A line of throughput.py's table. `mfu` is the share of the card's data-sheet peak, `of_matmul` of a large matrix product's speed."""

    network: str
    size: int
    batch: int
    side: str
    workers: int
    compiled: str
    images_per_second: float
    step_ms: float
    loader_share: float | None = None
    peak_gb: float | None = None
    mfu: float | None = None
    of_matmul: float | None = None
    first_step_s: float | None = None
    stops: dict[str, int] = field(default_factory=dict)


def throughput_bars(rows: Sequence[Measured]) -> list[Bar]:
    """The result file's lines for each network at each size."""
    found: list[Bar] = []
    for name, size in dict.fromkeys((row.network, row.size) for row in rows):
        found += network_bars(f"{name} at {size} px, bf16", [row for row in rows if (row.network, row.size) == (name, size)])
    return found


def network_bars(title: str, rows: Sequence[Measured]) -> list[Bar]:
    """The fastest of our configurations, compiled or not, beside each plain one: that with workers, and the example's own without."""
    ours, plain = ([row for row in rows if row.side == side] for side in (OURS, PLAIN))
    as_written = [row for row in ours if row.compiled == "off"]
    found = []
    for how, mine in (("", ours), (", not compiled", as_written)):
        if not mine:
            continue
        best = max(mine, key=lambda row: row.images_per_second)
        way = f"{best.workers} workers, torch_compile {best.compiled}"
        found.append(bar(f"{title}{how}: images/s ({way})", best.images_per_second, n=best.batch))
        if best.mfu is not None:
            target = 0.4 if best.network == "ViT-B/16" and not how else None
            found.append(bar(f"{title}{how}: share of the card's peak (MFU)", best.mfu, n=best.batch, target=target))
        found.append(bar(f"{title}{how}: share of a step that waits for data", best.loader_share or 0.0, n=best.batch))
        for peer in plain:
            ratio, against = best.images_per_second / peer.images_per_second, f"{PLAIN}, {peer.workers} workers"
            target = None if how else 1.3
            found.append(bar(f"{title}{how}: images/s ÷ those of the {against}", ratio, n=best.batch, target=target, peer=against))
    memory, theirs = ([row.peak_gb for row in some if row.peak_gb] for some in (as_written, plain))
    if memory and theirs:
        ratio = max(memory) / min(theirs)
        found.append(bar(f"{title}: peak memory ÷ plain recipe's", ratio, n=rows[0].batch, target=1.0, at_most=True, peer=PLAIN))
    for row in rows:
        if row.side != OURS:
            more = {PLAIN: f", {row.workers} workers", ALONE: f", torch_compile {row.compiled}", FORWARD: ""}[row.side]
            found.append(bar(f"{title}: images/s, {row.side}{more}", row.images_per_second, n=row.batch))
    return found


def main() -> None:
    runs = [read_json(path) for path in sorted((RESULTS / "throughput").glob("*.json"))]
    (machine,) = {run["machine"] for run in runs}  # figures of different cards do not belong in one table
    rows = [Measured(**row) for run in runs for row in run["rows"]]
    product = bar(f"{machine}: product of two bf16 matrices of 8192², TFLOP/s", max(run["matmul_tflops"] for run in runs), n=len(runs))
    digest = sha256_rows([(row.network, row.images_per_second) for row in rows])
    command = "gpu/throughput.py --images DATA --out FILE, then throughput_record.py"
    write_result("throughput", command, digest, [product, *throughput_bars(rows)], machine=machine)


if __name__ == "__main__":
    main()
