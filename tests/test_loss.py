"""The loss. Run: pytest tests/test_loss.py"""

import numpy as np
import pytest
import torch

from hf_bones.training.loss import class_weights, weighted_cross_entropy

COUNTS = np.array([80, 15, 5])


def test_weights_average_one_over_the_rows_so_that_the_learning_rate_keeps_its_meaning():
    for scheme in ("none", "sqrt", "balanced"):
        assert (class_weights(COUNTS, scheme) * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)


def test_rarer_classes_weigh_more_and_balanced_more_than_sqrt():
    root, full = class_weights(COUNTS, "sqrt"), class_weights(COUNTS, "balanced")
    assert root[0] < root[1] < root[2]
    assert full[2] / full[0] == pytest.approx(16)
    assert root[2] / root[0] == pytest.approx(4)


def test_an_empty_class_or_an_unknown_scheme_is_an_error():
    with pytest.raises(ValueError, match="every class"):
        class_weights(np.array([3, 0]), "balanced")
    with pytest.raises(ValueError, match="'sqrt'"):
        class_weights(COUNTS, "heavy")


def test_it_is_torchs_cross_entropy_when_weights_are_one():
    logits, labels = torch.randn(7, 3), torch.randint(0, 3, (7,))
    ours = weighted_cross_entropy(np.ones(3), 0.1)({"logits": logits}, labels)
    assert ours.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1).item(), rel=1e-6)


def test_halves_of_a_batch_add_up_to_the_whole_one():
    loss = weighted_cross_entropy(class_weights(COUNTS, "balanced"))
    logits, labels = torch.randn(8, 3), torch.randint(0, 3, (8,))
    whole = loss({"logits": logits}, labels, num_items_in_batch=torch.tensor(8))
    halves = [loss({"logits": logits[part]}, labels[part], num_items_in_batch=torch.tensor(8)) for part in (slice(0, 4), slice(4, 8))]
    assert whole.item() == pytest.approx(sum(half.item() for half in halves), rel=1e-6)


def test_weights_reach_the_gradient():
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.tensor([0, 2])
    weighted_cross_entropy(np.array([0.5, 1.0, 4.0]))({"logits": logits}, labels).backward()
    norms = logits.grad.norm(dim=1)
    assert norms[1].item() == pytest.approx(8 * norms[0].item(), rel=1e-5)
