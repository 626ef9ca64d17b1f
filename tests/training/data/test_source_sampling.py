"""Several sources: how often each is drawn, what one of one class teaches. Run: pytest tests/training/data/test_source_sampling.py"""

from collections import Counter

import numpy as np
import pytest
import torch
from tiny import bar_picture, tiny_checkpoint

from hf_bones.config.recipe import Recipe, RecipeError, TrainConfig, override
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.training.data.batches import RunSampler
from hf_bones.training.data.row_table import Rows
from hf_bones.training.data.source_shares import MOST, one_class_sources, require_shared_sources, source_shares, sources_line
from hf_bones.training.loss import learnt_log_prior, training_loss
from hf_bones.training.trainer import train

# FracAtlas, pictures from the web without a healthy film, a set of 30, and 26 healthy films, as in life.
SIZES = {"atlas": (1715, 302, 49), "web": (0, 55, 49), "graz": (3, 27, 0), "": (26, 0, 0)}
ORIGINS = [source for source, counts in SIZES.items() for _ in range(sum(counts))]
LABELS = np.array([label for counts in SIZES.values() for label, count in enumerate(counts) for _ in range(count)])


@pytest.fixture(scope="module")
def shares():
    return source_shares(LABELS, ORIGINS, 3)


def test_sources_are_drawn_by_the_root_of_their_size_and_classes_within_them_by_that_of_theirs(shares):
    assert shares.names == ("atlas", "graz", "not stated", "web")
    of_source = dict(zip(shares.names, shares.drawn.sum(axis=1), strict=True))
    assert of_source["atlas"] / of_source["web"] == pytest.approx((2066 / 104) ** 0.5, rel=0.05)
    assert of_source["web"] / of_source["not stated"] == pytest.approx((104 / 26) ** 0.5, rel=0.05)
    within = shares.drawn[0] / shares.drawn[0].sum()
    assert within[0] / within[2] == pytest.approx((1715 / 49) ** 0.5, rel=0.05)
    assert shares.rows.sum() == pytest.approx(1) and (shares.counts.sum(axis=1) == [2066, 30, 26, 104]).all()


def test_no_film_is_drawn_more_than_eight_times_as_often_as_under_uniform_sampling():
    lonely = source_shares([0] * 999 + [1] * 500 + [1], ["large"] * 1499 + ["one film"], 2)
    assert lonely.rows.max() * 1500 == pytest.approx(MOST) and lonely.rows[-1] == lonely.rows.max()
    assert lonely.rows.sum() == pytest.approx(1)


def test_an_epoch_is_drawn_so_the_same_in_every_process_and_anew_in_the_next(shares):
    sampler = RunSampler(LABELS, "source", seed=3, batch_size=16, length=8000, shares=shares.rows)
    first, other = list(sampler), list(RunSampler(LABELS, "source", seed=3, batch_size=16, length=8000, shares=shares.rows))
    assert first == other
    drawn = Counter(ORIGINS[row] or "not stated" for row, _ in first)
    for name, share in zip(shares.names, shares.drawn.sum(axis=1), strict=True):
        assert drawn[name] / 8000 == pytest.approx(share, abs=0.02)
    sampler.set_epoch(1)
    assert [row for row, _ in sampler] != [row for row, _ in first]
    with pytest.raises(ValueError, match="shares of the rows go with 'source' alone"):
        RunSampler(LABELS, "source", seed=0, batch_size=16)


def test_a_run_says_how_it_draws_and_which_sources_have_one_class(shares):
    line = sources_line(shares, THREE_CLASS)
    assert line.startswith("atlas 69% of the draws from 2,066 films, web 16% of the draws from 104 films")
    assert line.endswith("; of one class: not stated (healthy alone), web (no healthy film)")


def test_a_source_of_healthy_films_alone_or_without_one_has_one_class(shares):
    assert one_class_sources(shares.names, shares.counts, THREE_CLASS.normal_id) == {"not stated": True, "web": False}


def test_classes_that_no_source_shows_together_are_refused(shares):
    require_shared_sources(shares, THREE_CLASS)  # beyond_repair beside healthy in one source, fractured beside beyond_repair in another
    apart = source_shares([0] * 9 + [1] * 9, ["clinic"] * 9 + ["web"] * 9, 2)
    with pytest.raises(
        RecipeError, match=r"no source of `dataset` has films of fractured beside films of healthy \(clinic: healthy; web: f"
    ):
        require_shared_sources(apart, TWO_CLASS)


def test_the_loss_is_told_how_frequent_classes_are_in_the_source_of_each_film(shares):
    loss = training_loss(TrainConfig(sampling="source", class_weights="none"), np.bincount(LABELS), shares)
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 1, 1, 0])
    source = torch.tensor([0, 0, 0, 3, 1, 2])
    shifted = logits + torch.tensor(shares.log_frequencies).float()[source]
    wanted = torch.nn.functional.cross_entropy(shifted, labels).item()
    assert loss({"logits": logits}, labels, source=source).item() == pytest.approx(wanted, rel=1e-5)
    plain = torch.nn.functional.cross_entropy(logits, labels).item()
    assert loss({"logits": logits}, labels).item() == pytest.approx(plain, rel=1e-5)  # validation says of no film where it is from


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_film_teaches_the_differences_that_its_own_source_shows_and_no_others(shares, smoothing):
    loss = training_loss(TrainConfig(sampling="source", class_weights="none", label_smoothing=smoothing), np.bincount(LABELS), shares)
    logits = torch.zeros(3, 3, requires_grad=True)
    loss({"logits": logits}, torch.tensor([0, 1, 1]), source=torch.tensor([2, 3, 0])).backward()
    healthy_alone, without_healthy, all_three = logits.grad.abs()
    assert healthy_alone.max() < 1e-6
    assert without_healthy[0] < 1e-6 < 0.1 < without_healthy[1] == pytest.approx(without_healthy[2].item(), abs=1e-6)
    assert (all_three > 0.005).all()


def test_nothing_is_learnt_of_the_frequencies_so_that_balanced_verdicts_take_nothing_away(shares):
    config = TrainConfig(sampling="source", class_weights="none", label_smoothing=0.05)
    loss, logits = training_loss(config, np.bincount(LABELS), shares), torch.zeros(3, requires_grad=True)
    cells = np.argwhere(shares.drawn > 0)
    times = (shares.drawn[shares.drawn > 0] * 2000).round().astype(int)
    source, labels = (torch.tensor(np.repeat(column, times)) for column in cells.T)
    optimiser = torch.optim.SGD([logits], lr=2.0)
    for _ in range(150):
        optimiser.zero_grad()
        loss({"logits": logits.expand(len(labels), 3)}, labels, source=source).backward()
        optimiser.step()
    found = logits.detach().double().numpy() - learnt_log_prior(config, np.bincount(LABELS), shares)
    assert found == pytest.approx(np.full(3, found.mean()), abs=0.02)


def film(broken: bool, bright: bool, seed: int, size: int = 40) -> np.ndarray:
    """A limb across the frame, with a gap where it is broken; `bright` is the look of one machine: brighter, and with a light border."""
    random = np.random.default_rng(seed)
    pixels = random.normal(60, 15, (size, size))
    pixels[:, 14:26] += 90
    if broken:
        place = random.integers(8, 30)
        pixels[place : place + 3, 14:26] -= random.uniform(15, 70)
    if bright:
        pixels += 30
        pixels[:, [0, 1, -1, -2]] = 210
    return np.clip(pixels, 0, 255).astype(np.uint8)


def seen(pixels: np.ndarray) -> np.ndarray:
    """Simple features: how the film looks (its brightness, its border), and how far the darkest stretch of the limb is from the rest."""
    limb = pixels[:, 14:26].mean(axis=1)
    stretches = np.convolve(limb, np.ones(3) / 3, mode="valid")
    return np.array([pixels.mean(), pixels[:, :2].mean(), np.median(stretches) - stretches.min()])


def probe(sampling: str, features: np.ndarray, labels: np.ndarray, origins: list[str], seed: int) -> torch.nn.Linear:
    """A linear probe trained as a recipe trains: by its sampler, its batches and its loss."""
    config = TrainConfig(sampling=sampling, class_weights="none")
    shares = source_shares(labels, origins, 2) if sampling == "source" else None
    loss = training_loss(config, np.bincount(labels), shares)
    sampler = RunSampler(labels, sampling, seed, 32, shares=shares.rows if shares else None)
    torch.manual_seed(seed)
    network = torch.nn.Linear(features.shape[1], 2)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    rows = torch.tensor(features).float()
    for epoch in range(25):
        sampler.set_epoch(epoch)
        order = np.array([row for row, _ in sampler])
        for batch in order.reshape(-1, 32):
            told = {"source": torch.tensor(shares.source_ids[batch])} if shares else {}
            optimiser.zero_grad()
            loss({"logits": network(rows[batch])}, torch.tensor(labels[batch]), **told).backward()
            optimiser.step()
    return network


@pytest.mark.parametrize("seed", [0, 1])
def test_the_look_of_a_source_with_one_class_does_not_become_that_class(seed):
    # One source has both classes; the other has broken limbs alone, all from a machine with a look of its own.
    plan = [(False, False, "clinic"), (True, False, "clinic"), (True, True, "machine")]
    numbers = [(place, index) for place in range(3) for index in range(128)]
    raw = np.stack([seen(film(*plan[place][:2], 2000 * seed + 400 * place + index)) for place, index in numbers])
    labels, origins = np.array([int(plan[place][0]) for place, _ in numbers]), [plan[place][2] for place, _ in numbers]
    middle, spread = raw.mean(axis=0), raw.std(axis=0)
    right: dict[str, dict[str, float]] = {}
    for sampling in ("uniform", "balanced", "source"):
        network, right[sampling] = probe(sampling, (raw - middle) / spread, labels, origins, seed), {}
        for broken, bright, name in ((0, 0, "whole"), (0, 1, "whole, bright"), (1, 0, "broken"), (1, 1, "broken, bright")):
            new = np.stack([seen(film(bool(broken), bool(bright), 50_000 + 500 * seed + index)) for index in range(200)])
            called = network(torch.tensor((new - middle) / spread).float()).argmax(dim=1).numpy()
            right[sampling][name] = float((called == broken).mean())
    # Whole limbs with the machine's look: all wrong by plain and by class-balanced sampling (0.00 right), all right by source (1.00).
    assert right["uniform"]["whole, bright"] < 0.2 and right["balanced"]["whole, bright"] < 0.2, right
    assert right["source"]["whole, bright"] > 0.8 and min(right["source"]["whole"], right["source"]["broken"]) > 0.85, right
    # Nothing teaches it what the look does to a broken limb: it finds half of them (0.5 to 0.6), where the others call every film broken.
    assert right["source"]["broken, bright"] > 0.3, right


class Pictures:
    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> np.ndarray:
        return self.images[row]


def bars(each: int, start: int) -> Rows:
    """Bar pictures of two sources: one of three classes, one that has no healthy film."""
    plan = [(label, "a") for label in (0, 1, 2) for _ in range(each)] + [(label, "b") for label in (1, 2) for _ in range(each // 2)]
    names = [f"{start}-{place}" for place in range(len(plan))]
    labels, origins = (list(column) for column in zip(*plan, strict=True))
    pictures = [bar_picture(label, start + place) for place, label in enumerate(labels)]
    blank = [""] * len(plan)
    return Rows([Pictures(pictures)], labels, names, ["CC0-1.0"] * len(plan), origins, names, [True] * len(plan), blank, blank)


@pytest.mark.parametrize("kept", [{}, {"cached_views": 2, "trainable": "last:1"}])
def test_a_run_on_several_sources_scores_each_and_keeps_the_checkpoint_that_is_best_on_the_worst(tmp_path, capsys, kept):
    from hf_bones.finetune import finish
    from hf_bones.metrics.by_source import worst_source_line
    from hf_bones.record import now, read_json

    recipe = override(
        Recipe(),
        {
            "model": str(tiny_checkpoint(tmp_path / "start")), "image_size": 56, "cpu": True, "batch_size": 8, "epochs": 3, "seed": 1,
            "learning_rate": 2e-3, "class_weights": "none", "sampling": "source", "choose_by": "worst_source", "samples_per_epoch": 24,
            "balanced_verdicts": True, "output_dir": str(tmp_path / "run"), **kept,
        },
    )  # fmt: skip
    trained = train(recipe, (bars(8, 0), bars(6, 1000)))
    logged = [entry for entry in trained.history if "eval_selection" in entry]
    assert len(logged) == 3
    for entry in logged:
        scores = {name: entry[f"eval_source_score_{name}"] for name in "ab"}
        assert entry["eval_selection"] == entry["eval_worst_source_score"] == min(scores.values())
    sources, worst = trained.metrics["sources"], trained.metrics["worst_source"]
    assert sources[worst]["score"] == min(each["score"] for each in sources.values())
    assert max(entry["eval_selection"] for entry in logged) == pytest.approx(sources[worst]["score"], abs=1e-3)
    assert sources["b"]["specificity"] is None and sources["b"]["abnormal"] == 6 and sources["a"]["auroc_abnormal"] is not None
    assert worst_source_line(trained.metrics).startswith(f"{worst}, score ")
    assert "worst source" in capsys.readouterr().err or trained.history
    finish(recipe, trained, now())
    assert read_json(tmp_path / "run" / "record.json")["metrics"]["validation"]["worst_source"] == worst
    assert trained.verdict_shift is not None and len(set(np.round([*trained.verdict_shift.values()], 4))) == 1


def test_sources_that_a_recipe_leaves_out_are_in_neither_split(ground):
    from hf_bones.config.recipe import DataConfig
    from hf_bones.training.data.rows import training_rows

    with pytest.raises(RecipeError, match=r"no training row of healthy.* without sources \['bars'\]; check .*without_sources"):
        training_rows(DataConfig(dataset=str(ground / "dataset"), without_sources=["bars"]), THREE_CLASS, seed=0)
    kept, _ = training_rows(DataConfig(dataset=str(ground / "dataset"), without_sources=["other"]), THREE_CLASS, seed=0)
    assert len(kept) == 48
