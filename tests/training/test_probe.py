"""The head fitted before fine-tuning. Run: pytest tests/training/test_probe.py"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny import bar_picture, tiny_checkpoint

from hf_bones.config.recipe import ModelConfig
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import stack_inputs
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.probe import fit_head, head_features, start_head


class Bars:
    def __len__(self) -> int:
        return 9

    def pixels(self, row: int) -> np.ndarray:
        return bar_picture(row % 3, row)


@pytest.fixture
def blobs():
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    return random.normal(size=(90, 6)) * [1, 5, 0.1, 1, 1, 30] + labels[:, None] * [1, 0, 0.1, 0, 0, 0], labels


@pytest.mark.parametrize("classes", [2, 3])
def test_the_folded_head_says_what_the_regression_says(blobs, classes):
    features, labels = blobs[0], blobs[1] % classes
    weights, biases = fit_head(features, labels, classes, 0.1, np.ones(classes))
    logits = features @ weights.T + biases
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaler = StandardScaler().fit(features)
    oracle = LogisticRegression(C=0.1, max_iter=1000).fit(scaler.transform(features), labels)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), oracle.predict_proba(scaler.transform(features)), atol=1e-4)


def test_a_class_without_rows_is_an_error(blobs):
    with pytest.raises(ValueError, match="head_start"):
        fit_head(blobs[0], blobs[1] % 2, 3, 0.1, np.ones(3))


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnextv2"])
def test_a_started_head_gives_the_logits_of_the_fit(tmp_path, kind):
    model, spec = load_model(ModelConfig(str(tiny_checkpoint(tmp_path / kind, kind)), image_size=56), THREE_CLASS)
    rows = TrainingRows([Bars()], np.arange(9) % 3, 56, 0)
    features = head_features(model, spec, rows, 4, torch.device("cpu"))
    weights, biases = fit_head(features, rows.labels, 3, 1.0, np.ones(3))
    start_head(model, weights, biases)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(stack_inputs([Bars().pixels(row) for row in range(9)], spec))).logits
    np.testing.assert_allclose(logits.numpy(), features @ weights.T + biases, atol=1e-3)
