"""A cross-validated teacher on a GPU: trials of a recipe's settings, folds, out-of-fold and test probabilities.

    python scripts/bench/gpu/teacher.py FILMS --weights WEIGHTS --out OUT --jobs jobs.json --seconds 400

FILMS is a folder that films.py wrote. jobs.json is a list of {"name", "recipe", "changes", "fold", "folds", "flip", "keep"}: each job trains
the recipe with the changes on all films of train and validation outside of the fold (fold null: on all of them) and writes NAME.npz with the
softmax logits of the fold and of the test films, in float32. Jobs that the time left is too short for, going by the last one, are
named and left out. Nothing is chosen here, and nothing on test.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from films import Film, read_films, rows_of
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from transformers import PreTrainedModel

from hf_bones.config import load_recipe, override
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.preprocess import InputSpec
from hf_bones.training.checkpoints import save_checkpoint
from hf_bones.training.data import SquareCollator, TrainingRows, batch_to_input
from hf_bones.training.trainer import train

QUIET = {"save_strategy": "no", "eval_strategy": "no", "load_best_model_at_end": False, "disable_tqdm": True}


def fold_of(films: Sequence[Film], fold: int | None, folds: int, seed: int = 0) -> np.ndarray:
    """Which of the films of train and validation are held out, (N,) bool: whole groups, classes spread evenly."""
    held = np.zeros(len(films), dtype=bool)
    if fold is not None:
        labels, groups = [film.label for film in films], [film.group for film in films]
        deal = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
        held[list(deal)[fold][1]] = True
    return held


@torch.inference_mode()
def film_logits(
    model: PreTrainedModel, spec: InputSpec, films: Sequence[Film], device: torch.device, flip: bool, batch: int = 64
) -> np.ndarray:
    """Logits (N, C); with `flip` the mean of those of the film and of its mirror image."""
    rows = TrainingRows(rows_of(films).sources, np.zeros(len(films)), spec.size, 0)
    collate, found = SquareCollator(spec.size), []
    model.eval()
    for start in range(0, len(films), batch):
        taken = rows.__getitems__(list(range(start, min(start + batch, len(films)))))
        views = [taken] + ([[{**row, "pixels": np.ascontiguousarray(row["pixels"][:, ::-1])} for row in taken]] if flip else [])
        logits = []
        for view in views:
            pixels = batch_to_input({key: value.to(device) for key, value in collate(view).items()}, spec)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits.append(model(pixel_values=pixels).logits.float())
        found.append(torch.stack(logits).mean(dim=0).cpu().numpy())
    return np.concatenate(found)


def figures(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """AUROC of abnormal and of beyond_repair against the rest, where both sides are there."""
    probabilities = softmax(logits)
    sides = {"abnormal": (labels != 0, 1 - probabilities[:, 0]), "beyond_repair": (labels == 2, probabilities[:, 2])}
    return {name: float(roc_auc_score(truth, score)) for name, (truth, score) in sides.items() if 0 < truth.sum() < len(truth)}


def run_job(job: dict[str, Any], films: dict[int, list[Film]], folder: Path, weights: str, out: Path, cpu: bool) -> dict[str, Any]:
    """Trains one job and writes its probabilities; returns its line of the log."""
    recipe = load_recipe(job.get("recipe", "dinov2-small-448"))
    changes = {"model": weights, "output_dir": str(out / "runs" / job["name"]), "resume": False, **job.get("changes", {})}
    recipe = override(recipe, changes)
    recipe.trainer = {**recipe.trainer, **QUIET}
    size = recipe.model.image_size
    if size not in films:
        films[size] = read_films(folder, size)
    known = [film for film in films[size] if film.split != "test"]
    test = [film for film in films[size] if film.split == "test"]
    held = fold_of(known, job.get("fold"), job.get("folds", 5))
    learnt = [film for film, out_ in zip(known, held, strict=True) if not out_]
    asked = [film for film, out_ in zip(known, held, strict=True) if out_] or known[:64]
    started = time.monotonic()
    trained = train(recipe, rows=(rows_of(learnt), rows_of(asked)))
    seconds = time.monotonic() - started
    device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
    model = trained.model.to(device)
    results = {
        name: film_logits(model, trained.spec, group, device, bool(job.get("flip"))) for name, group in (("fold", asked), ("test", test))
    }
    labels = {name: np.array([THREE_CLASS.label2id[film.label] for film in group]) for name, group in (("fold", asked), ("test", test))}
    stored: dict[str, Any] = {
        **results,
        "fold_sha256": np.array([film.sha256 for film in asked]),
        "test_sha256": np.array([film.sha256 for film in test]),
    }
    np.savez_compressed(out / f"{job['name']}.npz", **stored)
    if job.get("keep"):
        save_checkpoint(trained.model, trained.spec, out / job["name"], job["keep"])
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {
        "job": job, "seconds": seconds, "all_seconds": time.monotonic() - started, "peak_gib": peak, "train": len(learnt),
        "fold": figures(labels["fold"], results["fold"]) if job.get("fold") is not None else {}, "losses": [round(entry["loss"], 3) for entry in trained.history if "loss" in entry],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", required=True, help="A JSON file, or the JSON itself.")
    parser.add_argument("--seconds", type=float, default=1e9, help="Start no job that would end later than this after the start.")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    jobs = json.loads(options.jobs if options.jobs.startswith("[") else Path(options.jobs).read_text(encoding="utf-8"))
    options.out.mkdir(parents=True, exist_ok=True)
    films: dict[int, list[Film]] = {}
    last = 0.0
    with (options.out / "jobs.jsonl").open("a", encoding="utf-8") as log:
        for job in jobs:
            left = options.seconds - (time.monotonic() - began)
            if left < last:
                print(f"left out: {job['name']} ({left:.0f} s left, the last job took {last:.0f} s)", flush=True)
                continue
            try:
                line = run_job(job, films, options.films, options.weights, options.out, options.cpu)
            except Exception:  # noqa: BLE001 - the lease goes on with the next job; what failed is printed in full
                traceback.print_exc()
                print(f"failed: {job['name']}", flush=True)
                continue
            last = line["all_seconds"]
            log.write(json.dumps(line) + "\n")
            log.flush()
            print(f"{job['name']}: {last:.1f} s, {line['fold']}, peak {line['peak_gib']:.1f} GiB, losses {line['losses'][-3:]}", flush=True)


if __name__ == "__main__":
    main()
