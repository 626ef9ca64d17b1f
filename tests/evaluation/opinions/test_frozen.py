"""Features of a frozen backbone, kept on disk, and out-of-fold opinions: `python -m pytest tests/evaluation/opinions/test_frozen.py`."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import bar_picture, png, tiny_checkpoint

from hf_bones.curation.recipe import OpinionSettings, load_curate_recipe
from hf_bones.evaluation.opinions import frozen
from hf_bones.evaluation.opinions.frozen import frozen_features, input_size, load_backbone
from hf_bones.evaluation.opinions.out_of_fold import TooFewGroupsError, deals, out_of_fold
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import stack_inputs

NAMES = THREE_CLASS.names
QUICK = OpinionSettings(folds=3, inner_folds=2, repeats=2, strengths=[1e-2, 1.0])


@pytest.fixture
def films():
    bodies = [png(Image.fromarray(bar_picture(seed % 3, seed))) for seed in range(9)]
    return [lambda body=body: body for body in bodies], [hashlib.sha256(body).hexdigest() for body in bodies]


def untouched(monkeypatch):
    """From here on, computing any feature is an error."""
    monkeypatch.setattr(frozen, "head_features", lambda *_, **__: pytest.fail("features were computed anew"))


def test_features_are_what_the_networks_own_head_is_given(checkpoint, films):
    backbone = load_backbone(checkpoint)
    found = frozen_features(backbone, *films, batch_size=4, progress=False)
    assert found.values.shape == (9, 64) and found.values.dtype == np.float32 and not found.refused
    inputs = torch.from_numpy(stack_inputs([bar_picture(seed % 3, seed) for seed in range(9)], backbone.spec))
    with torch.no_grad():
        logits = backbone.model(pixel_values=inputs).logits.numpy()
        head = backbone.model.classifier
        np.testing.assert_allclose(head(torch.from_numpy(found.values)).numpy(), logits, atol=1e-4)


def test_what_is_on_disk_is_never_computed_twice(checkpoint, films, tmp_path, monkeypatch):
    images, hashes = films
    backbone = load_backbone(checkpoint)
    first = frozen_features(backbone, images[:5], hashes[:5], tmp_path, progress=False)
    both = frozen_features(backbone, images, hashes, tmp_path, progress=False)
    assert (first.computed, both.computed) == (5, 4) and both.seconds > first.seconds > 0
    untouched(monkeypatch)
    again = frozen_features(load_backbone(checkpoint), images[::-1], hashes[::-1], tmp_path, progress=False)
    np.testing.assert_array_equal(again.values, both.values[::-1])
    assert again.computed == 0 and again.seconds == pytest.approx(both.seconds)


def test_a_killed_run_goes_on_from_its_last_chunk(checkpoint, films, tmp_path, monkeypatch):
    images, hashes = films
    monkeypatch.setattr(frozen, "CHUNK", 2)

    def killed() -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frozen_features(load_backbone(checkpoint), [*images[:5], killed, *images[6:]], hashes, tmp_path, progress=False)
    found = frozen_features(load_backbone(checkpoint), images, hashes, tmp_path, progress=False)
    assert found.computed == 5  # two chunks of two were kept
    np.testing.assert_allclose(found.values, frozen_features(load_backbone(checkpoint), images, hashes, progress=False).values, atol=1e-5)


def test_a_damaged_file_of_the_cache_is_computed_anew(checkpoint, films, tmp_path):
    backbone = load_backbone(checkpoint)
    before = frozen_features(backbone, *films, tmp_path, progress=False)
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:200])
    after = frozen_features(backbone, *films, tmp_path, progress=False)
    assert after.computed == 9
    np.testing.assert_array_equal(after.values, before.values)


def test_other_weights_and_other_sizes_have_features_of_their_own_and_another_head_has_not(checkpoint, tmp_path):
    backbone = load_backbone(checkpoint)
    other = load_backbone(checkpoint)
    with torch.no_grad():
        other.model.classifier.weight.add_(1.0)
    other.model.save_pretrained(tmp_path / "other-head")
    assert load_backbone(str(tmp_path / "other-head"), 56).key == backbone.key
    with torch.no_grad():
        other.model.dinov2.layernorm.weight.add_(0.1)
    other.model.save_pretrained(tmp_path / "other-weights")
    keys = {backbone.key, load_backbone(str(tmp_path / "other-weights"), 56).key, load_backbone(checkpoint, 84).key}
    assert len(keys | {load_backbone(checkpoint, keep_blocks=1).key}) == 4


def test_an_image_that_cannot_be_opened_leaves_a_row_without_features(checkpoint, films):
    images, hashes = list(films[0]), list(films[1])

    def missing() -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    images[1:3], hashes[1:3] = [lambda: b"<html>not a film</html>", missing], ["page", "gone"]
    found = frozen_features(load_backbone(checkpoint), images, hashes, progress=False)
    assert sorted(found.refused) == [1, 2] and found.refused[1].startswith("not_an_image") and "No such file" in found.refused[2]
    assert (
        np.isnan(found.values[1:3]).all() and found.kept.tolist() == [0, 3, 4, 5, 6, 7, 8] and np.isfinite(found.values[found.kept]).all()
    )


@pytest.mark.parametrize(("asked", "fitting"), [(160, 154), (162, 168), (161, 168), (224, 224), (448, 448), (3, 14), (None, 56)])
def test_a_size_is_brought_to_whole_patches(checkpoint, asked, fitting):
    assert input_size(checkpoint, asked) == fitting


def test_networks_of_several_stages_are_brought_to_their_whole_stride(tmp_path):
    assert input_size(str(tiny_checkpoint(tmp_path / "convnext", "convnextv2", size=64)), 140) == 128


@pytest.fixture
def blobs():
    """120 rows in 30 groups of one class each; the first two features tell the class, the group's own offset does not."""
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 4)
    labels = groups % 3
    offset = random.normal(size=(30, 8))[groups]
    features = offset + random.normal(size=(120, 8)) * 0.1
    features[:, :2] += np.stack([labels == 1, labels == 2], axis=1) * 4.0
    return features.astype(np.float32), labels, [f"patient {group}" for group in groups]


def test_out_of_fold_probabilities_are_those_of_heads_that_did_not_see_the_group(blobs):
    features, labels, groups = blobs
    found = out_of_fold(features, labels, groups, NAMES, QUICK)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == labels).mean() > 0.8
    # Were a group's rows on both sides, its offset would give away labels that have nothing to do with the features.
    random_labels = np.random.default_rng(0).integers(0, 3, 30)[np.repeat(np.arange(30), 4)]
    features = np.random.default_rng(1).normal(size=(30, 8))[np.repeat(np.arange(30), 4)] + 0.01
    honest = out_of_fold(features, random_labels, groups, NAMES, QUICK)
    leaking = out_of_fold(features, random_labels, [f"row {row}" for row in range(120)], NAMES, QUICK)
    assert (leaking.argmax(axis=1) == random_labels).mean() > (honest.argmax(axis=1) == random_labels).mean() + 0.2


def test_the_strength_is_chosen_without_the_rows_that_are_judged(blobs, monkeypatch):
    from hf_bones.evaluation.opinions import out_of_fold as module

    features, labels, groups = blobs
    features = np.c_[features, np.arange(120)].astype(np.float32)  # a column that names the row
    seen = []
    real = module.fit_head

    def watched(rows, *arguments):
        seen.append(set(rows[:, -1].astype(int).tolist()))
        return real(rows, *arguments)

    monkeypatch.setattr(module, "fit_head", watched)
    one = OpinionSettings(folds=3, inner_folds=2, repeats=1, strengths=[1e-2, 1.0])
    (deal,) = deals(features, labels, groups, NAMES, one)
    assert len(deal.strengths) == 3 and len(seen) == 3 * (2 * 2 + 1)
    for fold in range(3):
        *inner, final = seen[fold * 5 : fold * 5 + 5]
        assert all(rows < final for rows in inner) and len(final) == 80


def test_each_deal_is_another_one_and_the_same_seed_gives_the_same(blobs):
    features, labels, groups = blobs
    first, second = deals(features, labels, groups, NAMES, QUICK)
    again, _ = deals(features, labels, groups, NAMES, QUICK)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    assert not np.allclose(first.probabilities, second.probabilities)
    np.testing.assert_allclose(out_of_fold(features, labels, groups, NAMES, QUICK), (first.probabilities + second.probabilities) / 2)


def test_a_class_of_one_group_cannot_be_judged_and_a_rare_one_lowers_the_folds(blobs):
    features, labels, groups = blobs
    alone = [group if label != 2 else "one patient" for group, label in zip(groups, labels, strict=True)]
    with pytest.raises(TooFewGroupsError, match="class beyond_repair are"):
        out_of_fold(features, labels, alone, NAMES, QUICK)
    rare = [group if label != 2 else f"patient {int(group[8:]) % 2}" for group, label in zip(groups, labels, strict=True)]
    assert len(next(deals(features, labels, rare, NAMES, QUICK)).strengths) == 2
    with pytest.raises(ValueError, match="not finite"):
        out_of_fold(np.full_like(features, np.nan), labels, groups, NAMES, QUICK)


def test_a_class_without_rows_keeps_no_probability(blobs):
    features, labels, groups = blobs
    found = out_of_fold(features, labels, groups, [*NAMES, "further"], QUICK)
    assert found.shape == (120, 4) and (found[:, 3] == 0).all()


def test_the_shipped_recipe_states_how_opinions_are_made():
    settings = load_curate_recipe().opinions
    assert settings.folds >= 3 and settings.strengths == sorted(settings.strengths) and settings.class_weights == "balanced"
