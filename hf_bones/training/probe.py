"""A head fitted before fine-tuning: logistic regression on the frozen backbone's features.

Fine-tuning from a random head first pulls the backbone towards that head's noise; starting from a fitted one avoids it (Kumar et al.,
"Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022, arXiv 2202.10054).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from hf_bones.config.recipe import AugmentConfig
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.loading import head_of
from hf_bones.training.cached_views.rows import CachedViewRows, collate_cached_views
from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_to_input


def head_features(
    model: PreTrainedModel,
    spec: InputSpec,
    rows: TrainingRows | CachedViewRows,
    batch_size: int,
    device: torch.device,
    policy: AugmentConfig | None = None,
    view: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """What the head is given for each row: float32 (N, F). With a policy the images are augmented, each `view` in its own way.

    Cached views stand for the images; of it the `view` is taken, whatever the policy.
    """
    kept: list[np.ndarray] = []

    def keep(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        kept.append(inputs[0].float().cpu().numpy())

    hook = head_of(model).register_forward_pre_hook(keep)
    collate, was_training = SquareCollator(spec.size), model.training
    hidden = None if progress else True
    channels = getattr(model.config, "num_channels", 3)
    model.eval().to(device)
    try:
        with torch.inference_mode():
            for start in tqdm(range(0, len(rows), batch_size), desc="features of the frozen backbone", unit="batch", disable=hidden):
                chosen = range(start, min(start + batch_size, len(rows)))
                if isinstance(rows, CachedViewRows):
                    one_view = rows.of_view(view)
                    model(kept=collate_cached_views([one_view[row] for row in chosen])["kept"].to(device))
                    continue
                batch = collate([rows[(row, view * len(rows) + row)] for row in chosen])
                model(pixel_values=batch_to_input({key: value.to(device) for key, value in batch.items()}, spec, policy, None, channels))
    finally:
        hook.remove()
        model.train(was_training)
    return np.concatenate(kept)


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int, c: float, class_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, F) and biases (C,) of a linear head on raw features (N, F): regularised multinomial regression on standardised ones.

    `c` is scikit-learn's inverse regularisation. Standardisation is folded into the head. Raises ValueError when a class has no row.
    """
    from sklearn.linear_model import LogisticRegression  # 45 MB and a second that a run without a fitted head does not need
    from sklearn.preprocessing import StandardScaler

    missing = set(range(classes)) - set(labels.tolist())
    if missing:
        raise ValueError(f"head_start: no training row of class ids {sorted(missing)}; use head_start: random")
    scaler = StandardScaler().fit(features)
    regression = LogisticRegression(C=c, max_iter=1000, class_weight=dict(enumerate(class_weight.tolist())))
    regression.fit(scaler.transform(features), labels)
    weights, biases = regression.coef_, regression.intercept_
    if classes == 2:  # scikit-learn gives the one difference of the two logits
        weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
    weights = weights / scaler.scale_
    return weights, biases - weights @ scaler.mean_


def start_head(model: PreTrainedModel, weights: np.ndarray, biases: np.ndarray) -> None:
    """Puts a fitted head, (C, F) and (C,), into the model, in place."""
    head = head_of(model)
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(weights, dtype=head.weight.dtype))
        head.bias.copy_(torch.as_tensor(biases, dtype=head.bias.dtype))
