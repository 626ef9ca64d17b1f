"""Distil a small bone classifier from larger ones; `--with-baseline` also trains it from the labels alone and compares the two.

accelerate launch scripts/distill.py --teacher runs/vit-base --dataset data/bones --out runs/distilled
accelerate launch scripts/distill.py --teacher runs/vit-base runs/convnext --unlabelled more/films --unlabelled-licences CC-BY-4.0
accelerate launch scripts/distill.py --teacher-probabilities out-of-fold.npz --teacher runs/vit-base --feature-weight 1
"""

import sys

from hf_bones.cli.main import app

if __name__ == "__main__":
    app(["distill", *sys.argv[1:]])
