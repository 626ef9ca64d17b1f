"""`hf-bones quickstart`: the whole way on drawn radiographs, in a few minutes on two cores, with nothing downloaded.

Draws and builds a dataset, fine-tunes the bundled model under `accelerate launch`, evaluates, and says how to open the result.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer

from hf_bones.config.recipe import load_recipe


def run(out: Path, *, images: int = 300, seed: int = 0) -> Path:
    """Runs every step and returns the checkpoint folder. Steps whose result is in `out` already are done again only where they must be.

    Raises ValueError when a step fails, naming it.
    """
    from hf_bones.dataset.command import build_command

    data, checkpoint, report = out / "dataset", out / "checkpoint", out / "report"
    recipe = load_recipe("quickstart")
    _step(1, f"drawing {images} radiographs and building a dataset in {data}")
    build_command(["drawn"], data, count=images, drawn_size=recipe.data.drawn_size, seed=seed, overwrite=True)
    _step(2, f"fine-tuning the bundled model under accelerate, checkpoint in {checkpoint}")
    _train(data, checkpoint, seed)
    _step(3, f"evaluating on the test split, report in {report}")
    from hf_bones.evaluation.report.run import evaluate_checkpoint
    from hf_bones.evaluation.report.summary import summary_text
    from hf_bones.hub.card import write_card

    done = evaluate_checkpoint(checkpoint, data, report, split="test", repeats=300)
    write_card(checkpoint, evaluation=report)
    typer.echo(summary_text(done))
    typer.echo(
        f"""
Done. This checkpoint learnt from drawn radiographs: it shows the way and says nothing about real films.
  report        {done.report} and the plots beside it; {done.errors}
  checkpoint    {checkpoint} (its card: {checkpoint / "README.md"})
  open the demo make demo MODEL={checkpoint}        or: hf-bones demo --model {checkpoint}
  your images   hf-bones build FOLDER --output data/mine, then
                accelerate launch scripts/train.py --recipe quickstart --dataset data/mine \\
                  --drawn_images 0 --drawn_validation_images 0 --output_dir runs/mine"""
    )
    return checkpoint


def _train(data: Path, checkpoint: Path, seed: int) -> None:
    """One process under accelerate's launcher, as a user would start it; --resume false, since the data were drawn anew."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--module", "hf_bones.finetune", "--recipe", "quickstart"]
    command += ["--dataset", str(data), "--drawn_images", "0", "--drawn_validation_images", "0"]
    command += ["--output_dir", str(checkpoint), "--seed", str(seed), "--resume", "false"]
    # The launcher leaves one thread to each process unless told otherwise; this one has the machine to itself.
    environment = {"OMP_NUM_THREADS": str(os.cpu_count() or 1), **os.environ}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise ValueError("training failed; its own message stands above")


def _step(number: int, text: str) -> None:
    typer.echo(f"\n[{number}/3] {text}")
