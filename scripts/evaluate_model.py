"""Evaluates a checkpoint on a split of a dataset and writes a report with plots and a page of the worst errors.

    python scripts/evaluate_model.py bundled data/bones --split test --out runs/evaluation

The same as `hf-bones evaluate`. Every run on a split other than train and validation is counted as a look at it.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint on a split of a dataset.")
    parser.add_argument("model", help="`bundled`, a checkpoint folder or a Hub id")
    parser.add_argument("dataset", help="a folder written by `hf-bones build`, or a Hub id")
    parser.add_argument("--split", default="test", help="split to score (default: test)")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md, metrics.json, plots and worst_errors.html")
    parser.add_argument("--batch-size", type=int, default=16, help="images per forward pass (default: 16)")
    parser.add_argument("--device", help="torch device (default: a GPU where there is one)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub checkpoint")
    parser.add_argument("--specificity", type=float, default=0.85, help="healthy specificity of the threshold figures (default: 0.85)")
    parser.add_argument("--repeats", type=int, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of bootstrap and forest (default: 0)")
    parser.add_argument("--no-baselines", action="store_true", help="leave out the majority and statistics-only baselines")
    parser.add_argument(
        "--baseline-licence", action="append", metavar="LICENCE", help="fit baselines on training rows of this licence only (repeatable)"
    )
    parser.add_argument("--worst", type=int, default=40, help="errors to show with pictures (default: 40)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)

    from hf_bones.evaluation.run import evaluate_checkpoint
    from hf_bones.evaluation.summary import summary_text

    try:
        done = evaluate_checkpoint(
            options.model,
            options.dataset,
            options.out,
            split=options.split,
            batch_size=options.batch_size,
            device=options.device,
            revision=options.revision,
            specificity=options.specificity,
            repeats=options.repeats,
            seed=options.seed,
            baselines=not options.no_baselines,
            baseline_licences=options.baseline_licence,
            worst=options.worst,
        )
    except ValueError as error:
        parser.exit(2, f"evaluate_model: {error}\n")
    print(summary_text(done))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
