"""The loss. Run: pytest tests/training/test_loss.py"""

import numpy as np
import pytest
import torch

from hf_bones.config.recipe import RecipeError, TrainConfig
from hf_bones.training.loss import class_weights, focal_loss, learnt_log_prior, logit_offsets, training_loss, weighted_cross_entropy

LOSSES = ("cross_entropy", "focal", "logit_adjusted")
COUNTS = np.array([80, 15, 5])


def test_weights_average_one_over_the_rows_so_that_the_learning_rate_keeps_its_meaning():
    for scheme in ("none", "sqrt", "balanced"):
        assert (class_weights(COUNTS, scheme) * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)


def test_rarer_classes_weigh_more_and_balanced_more_than_sqrt():
    root, full = class_weights(COUNTS, "sqrt"), class_weights(COUNTS, "balanced")
    assert root[0] < root[1] < root[2]
    assert full[2] / full[0] == pytest.approx(16)
    assert root[2] / root[0] == pytest.approx(4)


def test_an_empty_class_is_an_error():
    with pytest.raises(ValueError, match="every class"):
        class_weights(np.array([3, 0]), "balanced")


def test_it_is_torchs_cross_entropy_when_weights_are_one():
    logits, labels = torch.randn(7, 3), torch.randint(0, 3, (7,))
    ours = weighted_cross_entropy(np.ones(3), 0.1)({"logits": logits}, labels)
    assert ours.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1).item(), rel=1e-6)


def test_weights_reach_the_gradient():
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.tensor([0, 2])
    weighted_cross_entropy(np.array([0.5, 1.0, 4.0]))({"logits": logits}, labels).backward()
    norms = logits.grad.norm(dim=1)
    assert norms[1].item() == pytest.approx(8 * norms[0].item(), rel=1e-5)


def config_of(**values) -> TrainConfig:
    return TrainConfig(**{"class_weights": "none", **values})


def test_a_recipe_gets_the_loss_that_it_names():
    logits, labels = torch.randn(9, 3), torch.randint(0, 3, (9,))
    found = {name: training_loss(config_of(loss=name), COUNTS)({"logits": logits}, labels).item() for name in LOSSES}
    assert found["cross_entropy"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-6)
    assert len({round(value, 6) for value in found.values()}) == 3
    with pytest.raises(RecipeError, match="loss: expected cross_entropy, focal or logit_adjusted, got 'hinge'"):
        config_of(loss="hinge")


def test_focal_loss_is_its_formula_and_cross_entropy_at_gamma_zero():
    logits, labels = torch.randn(9, 3), torch.randint(0, 3, (9,))
    weights = class_weights(COUNTS, "sqrt")
    chance = logits.double().softmax(dim=1)[torch.arange(9), labels].numpy()
    wanted = (weights[labels.numpy()] * (1 - chance) ** 2 * -np.log(chance)).mean()
    assert focal_loss(weights, 2.0)({"logits": logits}, labels).item() == pytest.approx(wanted, rel=1e-5)
    plain = weighted_cross_entropy(weights)({"logits": logits}, labels).item()
    assert focal_loss(weights, 0.0)({"logits": logits}, labels).item() == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_a_certain_image_has_a_finite_gradient(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0], [-200.0, 0.0, 0.0]], requires_grad=True)
    focal_loss(np.ones(3), gamma)({"logits": logits}, torch.tensor([0, 0])).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().max() < 1e-6 < logits.grad[1].abs().max()


def test_logit_adjusted_loss_adds_the_log_frequencies():
    logits, labels = torch.randn(9, 3), torch.randint(0, 3, (9,))
    config = config_of(loss="logit_adjusted", logit_adjustment=0.7, label_smoothing=0.1)
    shifted = logits + 0.7 * torch.tensor(COUNTS / COUNTS.sum()).log().float()
    wanted = torch.nn.functional.cross_entropy(shifted, labels, label_smoothing=0.1).item()
    assert training_loss(config, COUNTS)({"logits": logits}, labels).item() == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match="loss: logit_adjusted needs rows of every class"):
        training_loss(config, np.array([3, 0]))


def test_logits_trained_with_the_adjustment_rank_classes_as_if_all_were_as_frequent():
    # Images that look alike, 80 of one class, 15 and 5 of the others: what is seen says nothing, so no class should be preferred.
    labels = torch.tensor(np.repeat([0, 1, 2], COUNTS))
    learnt = {}
    for name in ("cross_entropy", "logit_adjusted"):
        logits = torch.zeros(3, requires_grad=True)
        loss = training_loss(config_of(loss=name), COUNTS)
        optimiser = torch.optim.SGD([logits], lr=1.0)
        for _ in range(400):
            optimiser.zero_grad()
            loss({"logits": logits.expand(len(labels), 3)}, labels).backward()
            optimiser.step()
        learnt[name] = logits.detach().softmax(dim=0)
    torch.testing.assert_close(learnt["cross_entropy"], torch.tensor([0.80, 0.15, 0.05]), atol=1e-3, rtol=0)
    torch.testing.assert_close(learnt["logit_adjusted"], torch.full((3,), 1 / 3), atol=1e-3, rtol=0)


def test_a_fitted_head_less_its_offsets_starts_the_adjusted_loss_where_it_was_fitted():
    logits, labels = torch.randn(9, 3), torch.randint(0, 3, (9,))
    config = config_of(loss="logit_adjusted")
    offsets = torch.tensor(logit_offsets(config, COUNTS))
    adjusted = training_loss(config, COUNTS)({"logits": logits - offsets}, labels).item()
    assert adjusted == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert not logit_offsets(config_of(), COUNTS).any()


@pytest.mark.parametrize("name", LOSSES)
def test_halves_of_a_batch_add_up_to_the_whole_one(name):
    loss = training_loss(config_of(loss=name, class_weights="sqrt"), COUNTS)
    logits, labels = torch.randn(8, 3), torch.randint(0, 3, (8,))
    whole = loss({"logits": logits}, labels, num_items_in_batch=torch.tensor(8))
    halves = [loss({"logits": logits[part]}, labels[part], num_items_in_batch=torch.tensor(8)) for part in (slice(0, 3), slice(3, 8))]
    assert whole.item() == pytest.approx(sum(half.item() for half in halves), rel=1e-6)


@pytest.mark.parametrize(
    "keys",
    [
        {"class_weights": "none"},
        {"class_weights": "sqrt"},
        {"class_weights": "balanced"},
        {"class_weights": "none", "sampling": "balanced"},
        {"class_weights": "none", "sampling": "sqrt"},
        {"class_weights": "sqrt", "loss": "logit_adjusted", "logit_adjustment": 0.5},
        {"class_weights": "none", "loss": "logit_adjusted", "logit_adjustment": 1.5},
    ],
)
def test_taking_away_what_was_learnt_of_frequencies_leaves_what_the_image_says(keys):
    # Where nothing can be seen, the best logits are the frequencies as the run bends them; without these no class is preferred.
    config = config_of(**keys)
    drawn = {"uniform": COUNTS, "sqrt": (10 * COUNTS**0.5).round(), "balanced": np.full(3, 30)}[config.sampling]
    labels = torch.tensor(np.repeat([0, 1, 2], drawn.astype(int)))
    logits = torch.zeros(3, requires_grad=True)
    loss = training_loss(config, COUNTS)
    optimiser = torch.optim.SGD([logits], lr=1.0)
    for _ in range(800):
        optimiser.zero_grad()
        loss({"logits": logits.expand(len(labels), 3)}, labels).backward()
        optimiser.step()
    left = logits.detach().double().numpy() - learnt_log_prior(config, COUNTS)
    assert left == pytest.approx(np.full(3, left.mean()), abs=0.02)


def test_balanced_verdicts_need_every_class():
    with pytest.raises(ValueError, match=r"balanced_verdicts: needs rows of every class; counts are \[3, 0\]"):
        learnt_log_prior(config_of(class_weights="none"), np.array([3, 0]))
