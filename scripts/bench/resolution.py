"""Which size to train at: what `hf-bones resolution --measure` finds at 160, 224, 336 and 448 px, and how long all of it takes.

    python scripts/bench/resolution.py DATA

DATA is a folder that `hf-bones build` wrote, a collection or a table of images; rows of CC BY and CC0 are used. Features are kept in --out,
so that a run that was stopped goes on; the minutes are those of all runs together.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from result_file import bar, write_result

from hf_bones.curate.recipe import load_curate_recipe
from hf_bones.evaluation.resolution.choices import ResolutionChoices
from hf_bones.evaluation.resolution.report import advice_sentence, caveats
from hf_bones.evaluation.resolution.run import advise_resolution

LICENCES = ("CC-BY-4.0", "CC0-1.0")
SIZES = (160, 224, 336, 448)
MINUTES = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--keep-blocks", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/resolution"), help="report, plots and kept features")
    parser.add_argument("--quick", action="store_true", help="few images and two sizes, under a minute; for checking that it runs")
    options = parser.parse_args()

    command = "python scripts/bench/resolution.py DATA"
    command += f" --model {Path(options.model).name}" if options.model != "bundled" else ""
    command += f" --keep-blocks {options.keep_blocks}" if options.keep_blocks else ""
    found = advise_resolution(
        options.data,
        options.out,
        ResolutionChoices(
            sizes=SIZES[:2] if options.quick else SIZES,
            measure=True,
            model=options.model,
            keep_blocks=options.keep_blocks,
            licences=LICENCES,
            limit=100 if options.quick else None,
        ),
        settings=load_curate_recipe().opinions,
        command=command,
    )
    measured = found.measured
    assert measured is not None, "it was asked to measure"
    rows = sum(measured.rows.values())
    title = f"minutes for {len(measured.figures)} sizes, {torch.get_num_threads()} threads"
    bars: list[dict[str, Any]] = [bar(title, measured.seconds / 60, n=rows, target=MINUTES, at_most=True)]
    for row, cost in zip(measured.figures, measured.costs, strict=True):
        size = f"{row.size} px"
        bars += [
            bar(f"balanced accuracy, {measured.model}, frozen, {size}", row.balanced_accuracy, n=rows, interval=row.interval),
            bar(f"AUROC(abnormal), {measured.model}, frozen, {size}", row.auroc, n=rows, interval=row.auroc_interval),
            bar(f"ms an image, {size}", cost.milliseconds, n=measured.circumstances.images),
            bar(f"MB an image for the backward pass, {size}", cost.training_mb, n=1),
        ]
    bars.append(bar("advised size, px", measured.choice.advised, n=rows))
    write_result("resolution", command, found.data_sha256, options.quick, bars)
    print("\n".join([advice_sentence(measured), *(f"- {caveat}" for caveat in caveats(found)), f"report: {options.out / 'report.md'}"]))


if __name__ == "__main__":
    main()
