"""`hf-bones quickstart`: the whole pipeline on drawn radiographs, in a few minutes on two cores, with nothing downloaded.

Draws and builds a dataset, fine-tunes the bundled model under `accelerate launch`, evaluates, and says how to open the result.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bones.config.recipe import load_recipe
from hf_bones.record import command_line
from hf_bones.training.errors import RunEndedError

if TYPE_CHECKING:
    from hf_bones.evaluation.report.results import Evaluation


def run(out: Path, *, images: int = 300, seed: int = 0) -> Evaluation:
    """Runs every step and returns what the last one found. Steps whose result is in `out` already are done again only where they must be.

    Raises ValueError or `RunEndedError` when a step fails, naming it.
    """
    from hf_bones.dataset.choices import BuildChoices
    from hf_bones.dataset.command import build_command

    data, checkpoint, report = out / "dataset", out / "checkpoint", out / "report"
    drawing = load_recipe("quickstart").data
    _step(1, f"drawing {images} radiographs and building a dataset in {data}")
    choices = BuildChoices(count=images, drawn_size=drawing.drawn_size, drawn_mode=drawing.drawn_mode, seed=seed, overwrite=True)
    build_command(["drawn"], data, choices, command=command_line())
    _step(2, f"fine-tuning the bundled model under accelerate, checkpoint in {checkpoint}")
    _train(data, checkpoint, seed)
    _step(3, f"evaluating on the test split, report in {report}")
    from hf_bones.evaluation.report.choices import EvaluateChoices
    from hf_bones.evaluation.report.run import evaluate_checkpoint
    from hf_bones.hub.card import write_card

    done = evaluate_checkpoint(checkpoint, data, report, EvaluateChoices(repeats=300), command=command_line())
    write_card(checkpoint, evaluation=report)
    return done


def closing_text(out: Path, done: Evaluation) -> str:
    """What was made, what to do with it, and in the last line how many films the model was right on."""
    from hf_bones.evaluation.report.summary import right_and_guessed

    checkpoint, (right, guessed, total) = out / "checkpoint", right_and_guessed(done)
    wrong = "it has no wrong film to show" if right == total else f"its {total - right} wrong, with what was drawn and what the model said"
    return f"""
  report        {done.page} and the plots beside it
  errors        {done.errors} opens in a browser: {wrong}
  checkpoint    {checkpoint} (its card: {checkpoint / "README.md"})
  open the demo make demo MODEL={checkpoint}        or: hf-bones demo --model {checkpoint}
  real films    hf-bones predict FOLDER and hf-bones demo answer with the bundled model
  your images   hf-bones build FOLDER --out data/mine, then
                accelerate launch scripts/train.py --recipe own-films --dataset data/mine --out runs/mine

This checkpoint learnt from drawn radiographs: it shows how things work and says nothing about real films.
Right on {right} of {total} drawn films that it had not seen; guessing gets {guessed}."""


def _train(data: Path, checkpoint: Path, seed: int) -> None:
    """One process under accelerate's launcher, as a user would start it; --no-resume, since the data were drawn anew."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--module", "hf_bones", "train", "--recipe", "quickstart"]
    command += ["--dataset", str(data), "--drawn-images", "0", "--drawn-validation-images", "0"]
    command += ["--out", str(checkpoint), "--seed", str(seed), "--no-resume"]
    # The launcher leaves one thread to each process unless told otherwise; this one has the machine to itself.
    environment = {"OMP_NUM_THREADS": str(os.cpu_count() or 1), **os.environ}
    sys.stdout.flush()
    if subprocess.run(command, env=environment, check=False, stdout=sys.stdout).returncode != 0:
        raise RunEndedError("training failed; its own message is above")


def _step(number: int, text: str) -> None:
    print(f"\n[{number}/3] {text}", flush=True)
