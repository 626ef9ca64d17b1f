"""The files of kept output: resumed, shared, told apart, refused. Run: pytest tests/training/cached_views/test_kept_files.py"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from kept_output import kept_rows, recipe_of
from tiny import tiny_checkpoint

from hf_bones.config.recipe import AugmentConfig, RecipeError
from hf_bones.config.rules import check_rules
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.cached_views import fill as fill_module
from hf_bones.training.cached_views import rows as rows_module
from hf_bones.training.cached_views.cut import find_cut, frozen_output
from hf_bones.training.cached_views.rows import CachedViewFile


def test_a_stopped_pass_goes_on_with_the_chunk_where_it_stopped(ground, tmp_path, monkeypatch):
    for module in (fill_module, rows_module):
        monkeypatch.setattr(module, "CHUNK", 8)
    whole, _, _ = kept_rows(ground, tmp_path / "whole", "--trainable", "last:1", "--cached_views", "1")
    chunks = []

    def stops(model, cut, pixel_values):
        if len(chunks) == 5:
            raise KeyboardInterrupt
        chunks.append(len(pixel_values))
        return frozen_output(model, cut, pixel_values)

    monkeypatch.setattr(fill_module, "frozen_output", stops)
    with pytest.raises(KeyboardInterrupt):
        kept_rows(ground, tmp_path / "run", "--trainable", "last:1", "--cached_views", "1")
    chunks.append(0)  # the sixth: from here on nothing stops it
    trainer, _, _ = kept_rows(ground, tmp_path / "run", "--trainable", "last:1", "--cached_views", "1")
    assert sum(chunks) == 48 + 18 and len(chunks) == 1 + 6 + 3
    for row in range(48):
        assert np.array_equal(trainer.train_dataset[row]["kept"], whole.train_dataset[row]["kept"])


def test_a_chunk_that_was_not_marked_is_computed_again(tmp_path):
    file = CachedViewFile(tmp_path / "x.float32", 70, (2, 3), "float32")
    assert file.missing() == [0, 1, 2]
    values = np.arange(70 * 6, dtype=np.float32).reshape(70, 2, 3)
    file.write(2, values[64:])
    file.write(0, values[:32])
    assert file.missing() == [1] and file.bytes_to_come() < file.bytes
    file.write(1, values[32:64])
    assert CachedViewFile(tmp_path / "x.float32", 70, (2, 3), "float32").missing() == []
    assert all(np.array_equal(file[row], values[row]) for row in range(70))
    (tmp_path / "x.float32").unlink()
    assert CachedViewFile(tmp_path / "x.float32", 70, (2, 3), "float32").missing() == [0, 1, 2]


def files_of(ground: Path, output: Path, *more: str) -> list[Path]:
    trainer, _, _ = kept_rows(ground, output, *more)
    return [file.path for file in (*trainer.train_dataset.views, *trainer.eval_dataset.views)]


def test_what_the_values_depend_on_has_files_of_its_own_and_the_rest_is_shared(ground, tmp_path):
    shared = ("--cached_dir", str(tmp_path / "shared"), "--cached_views", "2", "--trainable", "last:1", "--augment", "true")
    plain, turned, validation = first = files_of(ground, tmp_path / "a", *shared)
    assert plain.parent.parent == tmp_path / "shared"
    assert files_of(ground, tmp_path / "b", *shared, "--learning_rate", "1", "--label_smoothing", "0.1") == first
    assert files_of(ground, tmp_path / "c", *shared, "--cached_views", "3")[:2] == [plain, turned], "a further view is added to the others"
    assert files_of(ground, tmp_path / "c", *shared, "--cached_views", "1") == [plain, validation]
    for augmentation in (("--seed", "1"), ("--rotation_degrees", "3")):
        again = files_of(ground, tmp_path / "d", *shared, *augmentation)
        assert again[0] == plain and again[1] != turned and again[2] == validation
    fewer = files_of(ground, tmp_path / "e", *shared, "--max_train_rows", "24")
    assert fewer[0] != plain and fewer[1] != turned and fewer[2] == validation
    deeper = str(tiny_checkpoint(tmp_path / "m", blocks=4))
    for network in (("--trainable", "last:2"), ("--cached_dtype", "float32"), ("--model", deeper), ("--input_channels", "1")):
        assert not set(files_of(ground, tmp_path / "f", *shared, *network)) & set(first)


def test_leftovers_of_other_settings_are_named_in_a_runs_own_folder(ground, tmp_path, capsys):
    files_of(ground, tmp_path, "--trainable", "last:1", "--cached_views", "1")
    files_of(ground, tmp_path, "--trainable", "last:1", "--cached_views", "1")
    assert "of other settings" not in capsys.readouterr().out
    files_of(ground, tmp_path, "--trainable", "last:2", "--cached_views", "1")
    assert "0.1 MB beside it are of other settings, and may be deleted" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_said_before_anything_is_computed(ground, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(RecipeError, match=r"cached_views: 1 views at image_size 56 take .* left; lower cached_views or image_size"):
        kept_rows(ground, tmp_path, "--trainable", "last:1", "--cached_views", "1")
    assert not list(tmp_path.rglob("*.float16"))


def test_values_beyond_the_type_on_disk_are_refused(ground, tmp_path, monkeypatch):
    monkeypatch.setattr(fill_module, "frozen_output", lambda *given: frozen_output(*given) * 1e6)
    with pytest.raises(RecipeError, match=r"cached_dtype: dinov2's frozen part gives values up to .* set cached_dtype to float32"):
        kept_rows(ground, tmp_path, "--trainable", "last:1", "--cached_views", "1")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trainable", "all"), "cached_views: 1 and trainable: all"),
        (("--lora_rank", "4"), "cached_views: 1 and lora_rank: 4"),
        (("--trainable", "head", "--box_loss", "1"), "box_loss: 1 and trainable: head and cached_views: 1"),
        (("--torch_compile", "whole"), "cached_views: 1 and torch_compile: whole"),
        (("--cached_views", "3"), "cached_views: 3 and augment: false"),
        (("--cached_views", "-1"), "expected a number in"),
        (("--cached_dtype", "int8"), "cached_dtype: expected"),
        (("--head_start", "probe", "--probe_views", "2", "--augment", "true"), "probe_views: 2 and cached_views: 1"),
    ],
)
def test_keys_that_do_not_go_together_are_named(ground, tmp_path, more, message):
    with pytest.raises(RecipeError, match=message):
        check_rules(recipe := recipe_of(ground, tmp_path, "--trainable", "last:1", "--cached_views", "1", *more))
        find_cut(load_model(recipe.model, THREE_CLASS)[0], recipe.model.trainable)


def test_a_policy_that_leaves_newer_keys_alone_is_noted_as_it_was_before_there_were_any():
    first = fill_module.noted_policy(AugmentConfig())
    assert len(first) == 12 and "style" not in first and "keep_in_view" in first
    assert fill_module.noted_policy(AugmentConfig(rotation_degrees=3, style=0.5, cast=0)) == first | {"rotation_degrees": 3, "style": 0.5}
