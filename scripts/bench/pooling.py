"""What a head on frozen patches should see: the CLS token, the mean, both, the maximum, or a learnt average, by grouped cross-validation.

    python scripts/bench/pooling.py DATA --backbone facebook/dinov2-small

DATA is a folder that `hf-bones build` wrote. The backbone runs once over the FracAtlas rows of train and validation; five folds of whole
groups are dealt out of them. Fixed poolings have a regression as their head (`fit_head`). Attention starts from the mean's, its query at
zero, and both learn by steps. Test is not looked at.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from result_file import bar, write_result
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import bootstrap_intervals, classification_metrics
from hf_bones.record import sha256_rows
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.backbone.pooling import TokenPooling
from hf_bones.training.data.batches import TrainingRows, batch_to_input, collate
from hf_bones.training.data.rows import StoredImages
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head

POOLINGS = ("cls", "mean", "cls+mean", "max", "attention")
EPOCHS, BATCH, RATE, DECAY = 15, 64, 1e-3, 0.05
SHOWN = ("auroc_abnormal", "auroc_ovr_beyond_repair", "sensitivity_fractured_at_specificity_85")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="facebook/dinov2-small")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--quick", action="store_true", help="few images, under a minute; for checking that it runs")
    options = parser.parse_args()
    splits = load_bones(options.data)
    model, spec = load_model(ModelConfig(options.backbone, keep_blocks=options.blocks, image_size=options.size), THREE_CLASS)
    parts = []
    for split in ("train", "validation"):
        table = splits[split].select_columns(["label", "group", "source", "sha256"]).to_pandas()
        table = table[table["source"] == "fracatlas"]
        parts.append((split, table.groupby("label", group_keys=False).head(15) if options.quick else table))
    tokens = torch.cat([last_tokens(model, spec, splits[split].select(table.index.to_list())) for split, table in parts])
    labels = np.concatenate([table["label"].to_numpy() for _, table in parts])
    groups = [group for _, table in parts for group in table["group"]]
    digest = sha256_rows([(digest, label) for _, table in parts for digest, label in zip(table["sha256"], table["label"], strict=True)])
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups))
    bars: list[dict[str, Any]] = []
    for kind in POOLINGS:
        logits = np.zeros((len(labels), 3))
        for known, held in tqdm(folds, desc=kind, unit="fold"):
            logits[held] = (by_attention if kind == "attention" else by_regression)(tokens[known], labels[known], tokens[held], kind)
        probabilities = softmax(logits)
        figures = classification_metrics(labels, probabilities, THREE_CLASS.names)
        spans = bootstrap_intervals(labels, probabilities, groups, THREE_CLASS.names)
        bars += [bar(f"{kind}: {key}, cross-validation", figures[key], n=len(labels), interval=spans.get(key)) for key in SHOWN]
    sizes = f" --size {options.size}" if options.size != 224 else ""
    write_result("pooling", f"python scripts/bench/pooling.py DATA --backbone facebook/dinov2-small{sizes}", digest, options.quick, bars)


@torch.inference_mode()
def last_tokens(model: Any, spec: Any, images: Any) -> torch.Tensor:
    """Last hidden states after the final norm, CLS first, float16 (N, T, D)."""
    rows = TrainingRows([StoredImages(images)], np.zeros(len(images)), spec.size, 0)
    found = []
    model.eval()
    for start in tqdm(range(0, len(rows), 16), desc="patches of the frozen backbone", unit="batch"):
        batch = collate(rows.__getitems__(list(range(start, min(start + 16, len(rows))))), spec.size)
        found.append(model.base_model(batch_to_input(batch, spec)).last_hidden_state.half())
    return torch.cat(found)


def by_regression(known: torch.Tensor, labels: np.ndarray, held: torch.Tensor, kind: str) -> np.ndarray:
    """Logits (N, 3) of the held-out films from a regression on the pooled features."""
    pool = TokenPooling(kind, known.shape[-1], prefix=1)
    weights, biases = fitted(pooled(pool, known), labels)
    return np.asarray(pooled(pool, held) @ weights.T + biases)


def by_attention(known: torch.Tensor, labels: np.ndarray, held: torch.Tensor, _kind: str) -> np.ndarray:
    """The same from a query that learns together with the head, which starts as the regression on the mean."""
    torch.manual_seed(0)
    pool = TokenPooling("attention", known.shape[-1], prefix=1)
    weights, biases = fitted(pooled(pool, known), labels)
    head = torch.nn.Linear(known.shape[-1], 3)
    head.load_state_dict({"weight": torch.as_tensor(weights), "bias": torch.as_tensor(biases)})
    penalty = torch.as_tensor(class_weights(np.bincount(labels), "sqrt"), dtype=torch.float32)
    optimiser = torch.optim.AdamW([*pool.parameters(), *head.parameters()], lr=RATE, weight_decay=DECAY)
    truth = torch.as_tensor(labels)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(truth)).split(BATCH):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(head(pool(known[rows].float())), truth[rows], weight=penalty, label_smoothing=0.05)
            loss.backward()
            optimiser.step()
    with torch.inference_mode():
        return np.concatenate([head(pool(part.float())).numpy() for part in held.split(256)])


@torch.inference_mode()
def pooled(pool: TokenPooling, tokens: torch.Tensor) -> np.ndarray:
    return np.concatenate([pool(part.float()).numpy() for part in tokens.split(256)])


def fitted(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return fit_head(features, labels, 3, 1e-3, class_weights(np.bincount(labels), "sqrt"))


if __name__ == "__main__":
    main()
