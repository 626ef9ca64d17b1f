"""Fine-tune a bone classifier from a recipe.

accelerate launch scripts/train.py --recipe quickstart
accelerate launch scripts/train.py --recipe dinov2-small --dataset data/bones --output-dir runs/dinov2-small
accelerate launch --multi_gpu --num_processes 4 scripts/train.py --recipe vit-base --dataset data/bones --processes 4
accelerate launch scripts/train.py --recipe quickstart-search --search optuna       # trials over the recipe's `search: space:`
torchrun --nproc_per_node 2 scripts/train.py --recipe quickstart --processes 2      # two processes on a CPU
accelerate launch scripts/train.py --recipe vit-base --dataset you/bones --streaming   # without a copy of the dataset

Launch configurations, from one CPU to several machines and FSDP: hf-bones accelerate-config
"""

import sys

from hf_bones.cli.main import app

if __name__ == "__main__":
    app(["train", *sys.argv[1:]])
