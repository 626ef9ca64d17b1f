"""Which size to train at: what `hf-bones resolution --measure` finds at 160, 224, 336 and 448 px, and how long all of it takes.

    python scripts/bench/resolution.py DATA

DATA may also be a collection or a table of images; rows of CC BY and CC0 are used. Features are kept in --out, so that a run that was
stopped resumes; the minutes are those of all runs together.
"""

from __future__ import annotations

from pathlib import Path

import torch
from harness import arguments, bar, write_result

from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.evaluation.resolution.choices import ResolutionChoices
from hf_bones.evaluation.resolution.report import advice_sentence, caveats
from hf_bones.evaluation.resolution.run import advise_resolution

LICENCES = ("CC-BY-4.0", "CC0-1.0")
SIZES = (160, 224, 336, 448)
MINUTES = 60.0


def main() -> None:
    parser = arguments(__doc__, data="a folder that `hf-bones build` wrote, a collection or a table of images")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--keep-blocks", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/resolution"), help="report, plots and kept features")
    options = parser.parse_args()

    command = "resolution.py DATA"
    command += f" --model {Path(options.model).name}" if options.model != "bundled" else ""
    command += f" --keep-blocks {options.keep_blocks}" if options.keep_blocks else ""
    found = advise_resolution(
        str(options.data),
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
        command=f"python scripts/bench/{command}",
    )
    measured = found.measured
    assert measured is not None, "it was asked to measure"
    rows = sum(measured.rows.values())
    title = f"minutes for {len(measured.figures)} sizes, {torch.get_num_threads()} threads"
    bars = [bar(title, measured.seconds / 60, n=rows, target=MINUTES, at_most=True)]
    for row, cost in zip(measured.figures, measured.costs, strict=True):
        size = f"{row.size} px"
        bars += [
            bar(f"balanced accuracy, {measured.model}, frozen, {size}", row.balanced_accuracy, n=rows, interval=row.interval),
            bar(f"AUROC(abnormal), {measured.model}, frozen, {size}", row.auroc, n=rows, interval=row.auroc_interval),
            bar(f"ms an image, {size}", cost.milliseconds, n=measured.circumstances.images),
            bar(f"MB an image for the backward pass, {size}", cost.training_mb, n=1),
        ]
    bars.append(bar("advised size, px", measured.choice.advised, n=rows))
    write_result("resolution", command, found.data_sha256, bars, quick=options.quick)
    print("\n".join([advice_sentence(measured), *(f"- {caveat}" for caveat in caveats(found)), f"report: {options.out / 'report.md'}"]))


if __name__ == "__main__":
    main()
