"""The lines of `gpu/throughput.py`: as it prints them, and as bars of a result file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from result_file import bar

OURS, PLAIN, ALONE, FORWARD = "ours", "plain recipe", "compute alone", "forward alone"
HEAD = (
    f"{'network':<20}{'px':>4}{'batch':>6}  {'side':<14}{'workers':>7} {'compile':<7}"
    f"{'images/s':>10}{'step ms':>9}{'waiting':>9}{'of peak':>8}{'of mm':>8}{'GB':>7}"
)


@dataclass
class Measured:
    """A line of the table. `mfu` is the share of the card's data-sheet peak, `of_matmul` of a large matrix product's measured speed."""

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


def line(row: Measured) -> str:
    """A line of the table under `HEAD`."""

    def share(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f} %"

    memory = "–" if row.peak_gb is None else f"{row.peak_gb:.1f}"
    return (
        f"{row.network:<20}{row.size:>4}{row.batch:>6}  {row.side:<14}{row.workers:>7} {row.compiled:<7}"
        f"{row.images_per_second:>10,.0f}{row.step_ms:>9.1f}{share(row.loader_share):>9}{share(row.mfu):>8}{share(row.of_matmul):>8}{memory:>7}"
    )


def bars(rows: Sequence[Measured], inputs: dict[str, float]) -> list[dict[str, Any]]:
    """The result file's lines for each network at each size; `inputs` are images/s of preparing the input on the device, by name."""
    found: list[dict[str, Any]] = []
    for name, size in dict.fromkeys((row.network, row.size) for row in rows):
        found += network_bars(f"{name} at {size} px, bf16", [row for row in rows if (row.network, row.size) == (name, size)])
    return found + [bar(f"{name}, images/s", value, n=1) for name, value in inputs.items()]


def network_bars(title: str, rows: Sequence[Measured]) -> list[dict[str, Any]]:
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
    memory = [row.peak_gb for row in as_written if row.peak_gb]
    theirs = [row.peak_gb for row in plain if row.peak_gb]
    if memory and theirs:
        ratio = max(memory) / min(theirs)
        found.append(bar(f"{title}: peak memory ÷ plain recipe's", ratio, n=rows[0].batch, target=1.0, at_most=True, peer=PLAIN))
    for row in rows:
        if row.side in (PLAIN, ALONE, FORWARD):
            more = f", {row.workers} workers" if row.side == PLAIN else f", torch_compile {row.compiled}" if row.side == ALONE else ""
            found.append(bar(f"{title}: images/s, {row.side}{more}", row.images_per_second, n=row.batch))
    return found
