"""A cross-validated teacher on a GPU: trials of a recipe's settings, folds, out-of-fold and test probabilities.

    python scripts/bench/gpu/teacher.py FILMS --weights WEIGHTS --out OUT --jobs jobs.json --seconds 400

FILMS is a folder that films.py wrote. jobs.json is a list of {"name", "recipe", "changes", "fold", "folds", "teachers", "teacher", "keep"}.
Each job trains the recipe with the changes on the films of train outside of the fold (none: on all of train) and writes NAME.npz with the
logits of the fold, of validation and of test, of each film and of its mirror image, and their mean. With `teachers`, lists of
jobs whose folds make up train, it is a student of the mean of their out-of-fold probabilities; with `teacher`, of kept jobs, of what these
say of each view. Jobs for which the time left is too short, going by the last one, are named and left out. Several processes, each
with jobs of its own and the same OUT, share a GPU that one does not fill. Nothing is chosen here; figures of test are not even computed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from films import Film, read_films, rows_of
from sklearn.model_selection import StratifiedGroupKFold
from transformers import PreTrainedModel

from hf_bones.config.recipe import load_recipe, override
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import classification_metrics
from hf_bones.preprocess import InputSpec
from hf_bones.record import sha256_file
from hf_bones.training.backbone.auxiliary import NAME, patch_map
from hf_bones.training.backbone.patch_head import write_patch_head
from hf_bones.training.data.batches import TrainingRows, batch_to_input, collate
from hf_bones.training.distill.probabilities import write_probabilities
from hf_bones.training.distill.run import distill
from hf_bones.training.run.checkpoints import save_checkpoint
from hf_bones.training.trainer import train

QUIET = {"save_strategy": "no", "eval_strategy": "no", "load_best_model_at_end": False, "disable_tqdm": True, "logging_steps": 100}


def fold_of(films: Sequence[Film], fold: int | None, folds: int) -> set[int]:
    """The rows that are held out, none without a fold: whole groups, classes spread evenly."""
    if fold is None:
        return set()
    labels, groups = [film.label for film in films], [film.group for film in films]
    return set(list(StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(labels, labels, groups))[fold][1].tolist())


@torch.inference_mode()
def film_logits(model: PreTrainedModel, spec: InputSpec, films: Sequence[Film], device: torch.device) -> dict[str, np.ndarray]:
    """`logits` (N, C) of the films, `mirrored` of their mirror images, `patches` (N, 8) the highest logits of the head of the boxes."""
    rows = TrainingRows(rows_of(films).sources, np.zeros(len(films)), spec.size, 0)
    found: dict[str, list[np.ndarray]] = {"logits": [], "mirrored": [], "patches": []}
    heads = getattr(model, NAME, None)
    model.eval()
    for start in range(0, len(films), 64):
        taken = rows.__getitems__(list(range(start, min(start + 64, len(films)))))
        for name in ("logits", "mirrored"):
            view = [{**row, "pixels": np.ascontiguousarray(row["pixels"][:, ::-1])} for row in taken] if name == "mirrored" else taken
            pixels = batch_to_input({key: value.to(device) for key, value in collate(view, spec.size).items()}, spec)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                found[name].append(model(pixel_values=pixels).logits.float().cpu().numpy())
            if name == "logits" and heads is not None and heads.patch is not None:
                patches = heads.patch(patch_map(heads.seen["tokens"].float(), spec.size // model.config.patch_size))
                found["patches"].append(patches.flatten(1).topk(8).values.cpu().numpy())
    return {name: np.concatenate(values) for name, values in found.items() if values}


def teach(names: Sequence[str], out: Path) -> Path:
    """The out-of-fold probabilities of the jobs of one cross-validation as a file that a student's recipe takes."""
    hashes: list[str] = []
    probabilities: list[np.ndarray] = []
    for name in names:
        with np.load(out / f"{name}.npz") as stored:
            hashes += stored["fold_sha256"].tolist()
            probabilities.append(softmax(stored["fold"]))
    path = out / f"out_of_fold_{'_'.join(names)}.npz"
    written = path.with_name(f"{os.getpid()}.npz")  # another process may be at the same file
    write_probabilities(written, hashes, np.concatenate(probabilities), THREE_CLASS.names)
    return written.replace(path)


def run_job(job: dict[str, Any], films: dict[int, list[Film]], folder: Path, weights: str, out: Path, cpu: bool) -> dict[str, Any]:
    """Trains one job and writes its logits; returns its line of the log."""
    began = time.monotonic()
    changes = {"model": weights, "output_dir": str(out / "runs" / job["name"]), "resume": False, **job.get("changes", {})}
    changes["balanced_verdicts"] = False  # logits are kept as they were learnt; teacher_record.py and adopt.py balance them
    if job.get("teacher"):  # the folder of an earlier job
        changes["teacher"] = [str(out / name) for name in job["teacher"]]
    if job.get("teachers"):
        changes["teacher_probabilities"] = [str(teach(names, out)) for names in job["teachers"]]
    recipe = override(load_recipe(job.get("recipe", "dinov2-small-448")), changes)
    recipe.trainer = {**recipe.trainer, **QUIET}
    size = recipe.model.image_size
    if size not in films:
        films[size] = read_films(folder, size)
    parts = {split: [film for film in films[size] if film.split == split] for split in ("train", "validation", "test")}
    held = fold_of(parts["train"], job.get("fold"), job.get("folds", 5))
    learnt = [film for row, film in enumerate(parts["train"]) if row not in held]
    parts["fold"] = [film for row, film in enumerate(parts.pop("train")) if row in held]
    rows = rows_of(learnt), rows_of(parts["validation"])
    trained = distill(recipe, rows) if recipe.distill.is_on else train(recipe, rows=rows)
    seconds = time.monotonic() - began
    device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
    model = trained.model.to(device)
    stored: dict[str, Any] = {}
    for name, group in parts.items():
        if group:
            stored |= {f"{name}_{key}": value for key, value in film_logits(model, trained.spec, group, device).items()}
            stored[name] = (stored[f"{name}_logits"] + stored[f"{name}_mirrored"]) / 2
            stored[f"{name}_sha256"] = np.array([film.sha256 for film in group])
            stored[f"{name}_labels"] = np.array([THREE_CLASS.label2id[film.label] for film in group])
    np.savez_compressed(out / f"{job['name']}.npz", **stored)
    if job.get("keep"):
        save_checkpoint(trained.model, trained.spec, out / job["name"], job["keep"])
        write_patch_head(trained.patch_head, out / job["name"])
    figures = {}
    for name in {"fold", "validation"} & set(stored):
        known = classification_metrics(stored[f"{name}_labels"], softmax(stored[name]), THREE_CLASS.names)
        figures[name] = {key: known[key] for key in ("auroc_abnormal", "auroc_ovr_beyond_repair")}
    return {
        "job": job,
        "recipe": recipe.as_dict(),
        "probability_files": [sha256_file(Path(path)) for path in recipe.distill.teacher_probabilities],
        "train": len(learnt),
        "seconds": seconds,
        "all_seconds": time.monotonic() - began,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0,
        "figures": figures,
        "losses": [round(entry["loss"], 3) for entry in trained.history if "loss" in entry],
    }


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
            print(f"{job['name']}: {last:.1f} s, {line['figures']}, peak {line['peak_gib']:.1f} GiB, losses {line['losses']}", flush=True)


if __name__ == "__main__":
    main()
