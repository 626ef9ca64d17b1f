"""The record of a training run, and the name under which it goes to the Hub."""

from __future__ import annotations

from hf_bones.record import environment

NAME = "ada/bones"
RECORD = {
    "schema_version": 1,
    "command": "hf-bones train --recipe quickstart --dataset 'my films' --out runs/mine",
    "recipe": {"name": "quickstart"},
    "base_model": "facebook/dinov2-small",
    "base_model_id": "facebook/dinov2-small",
    "data": {
        "dataset": "FracAtlas-derived manifest",
        "sha256": "ab" * 32,
        "split_sha256": "cd" * 32,
        "counts": {
            "train": {"healthy": 30, "fractured": 20, "beyond_repair": 10},
            "validation": {"healthy": 9, "fractured": 6, "beyond_repair": 3},
        },
        "licences": {"CC-BY-4.0": 78},
        "synthetic_only": False,
    },
    "environment": environment(),
    "metrics": {"validation": {"auroc_abnormal": 0.8125, "balanced_accuracy": 0.625, "correct_healthy": 7, "support_healthy": 9}},
    "started": "2026-11-23T01:00:00+00:00",
    "finished": "2026-11-23T01:04:00+00:00",
    "test_looks": [],
}
