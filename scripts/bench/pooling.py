"""What a head on frozen patches should see: the CLS token, the mean, both, the maximum, or a learnt average, by grouped cross-validation.

    python scripts/bench/pooling.py DATA --backbone facebook/dinov2-small

The backbone runs once over the FracAtlas rows of train and validation; five folds of whole groups are dealt out of them. Fixed poolings
have a regression as their head (`fit_head`). Attention starts from the mean's, its query at zero, and both learn by steps. Test is not
looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from frozen import films
from harness import Bar, arguments, figure_bars, write_result
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
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
    parser = arguments(__doc__)
    parser.add_argument("--backbone", default="facebook/dinov2-small")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    model, spec = load_model(ModelConfig(options.backbone, keep_blocks=options.blocks, image_size=options.size), THREE_CLASS)
    known = films(load_bones(options.data), "train", "validation", few=15 if options.quick else None)
    tokens, labels = last_tokens(model, spec, known.images), known.labels
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, known.groups))
    bars: list[Bar] = []
    for kind in POOLINGS:
        logits = np.zeros((len(labels), 3))
        for learnt, held in tqdm(folds, desc=kind, unit="fold"):
            logits[held] = (by_attention if kind == "attention" else by_regression)(tokens[learnt], labels[learnt], tokens[held], kind)
        bars += figure_bars({key: f"{kind}: {key}, cross-validation" for key in SHOWN}, labels, softmax(logits), known.groups)
    command = "pooling.py DATA --backbone facebook/dinov2-small" + (f" --size {options.size}" if options.size != 224 else "")
    write_result("pooling", command, sha256_rows(zip(known.hashes, labels, strict=True)), bars, quick=options.quick)


@torch.inference_mode()
def last_tokens(model: Any, spec: Any, images: StoredImages) -> torch.Tensor:
    """Last hidden states after the final norm, CLS first, float16 (N, T, D)."""
    rows = TrainingRows([images], np.zeros(len(images)), spec.size, 0)
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
    return pooled(torch.nn.Sequential(pool, head), held)


@torch.inference_mode()
def pooled(network: torch.nn.Module, tokens: torch.Tensor) -> np.ndarray:
    return np.concatenate([network(part.float()).numpy() for part in tokens.split(256)])


def fitted(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return fit_head(features, labels, 3, 1e-3, class_weights(np.bincount(labels), "sqrt"))


if __name__ == "__main__":
    main()
