"""Evaluates a checkpoint on a split of a dataset and writes a report with plots and a page of the worst errors.

    python scripts/evaluate_model.py bundled data/bones --split test --out runs/evaluation

The same as `hf-bones evaluate`. Every run on a split other than train and validation is counted as a look at it.
"""

import sys

from hf_bones.cli.main import app

if __name__ == "__main__":
    app(["evaluate", *sys.argv[1:]])
