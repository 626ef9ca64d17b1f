"""Networks of timm through transformers' wrapper. Run: pytest tests/training/backbone/test_timm.py

timm lies in a folder of its own beside the other packages, where `make test` puts it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

from hf_bones.labels import THREE_CLASS

SCRIPT = ROOT / "tests" / "stand_ins" / "timm_on_cpu.py"
PACKAGES = Path(sys.prefix) / "timm"
ARCHITECTURES = ("vit_tiny_patch16_224", "convnextv2_atto", "resnet18")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    assert (PACKAGES / "timm").is_dir(), f"no timm in {PACKAGES}: `make test` installs it there"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGES), str(ROOT)])}
    work = tmp_path_factory.mktemp("timm")
    done = subprocess.run([sys.executable, str(SCRIPT), str(work)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_run_leaves_a_checkpoint_that_plain_transformers_and_the_predictor_read_alike(found, architecture):
    one = found[architecture]
    assert one["labels"] == list(THREE_CLASS.names)
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "decision.json", "record.json"} <= set(one["files"])
    assert one["plain"] == pytest.approx(one["predictor"], abs=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_its_mean_and_deviation_are_read_from_its_config(found, architecture):
    assert found[architecture]["spec"] == [64, [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_the_head_learns_where_that_is_asked(found, architecture):
    assert {name.rpartition(".")[2] for name in found[architecture]["head"]} == {"weight", "bias"}
    assert len(found[architecture]["head"]) == 2
    assert found[architecture]["drop_path"] == 0.1


def test_the_last_blocks_learn_with_what_follows_them(found):
    vit = found["vit_tiny_patch16_224"]["last:1"]
    assert any(name.startswith("timm_model.blocks.1.") for name in vit)
    assert {"timm_model.norm.weight", "timm_model.head.weight"} <= set(vit)
    assert not any(word in name for name in vit for word in ("blocks.0.", "patch_embed", "pos_embed", "cls_token"))
    convnext = found["convnextv2_atto"]["last:1"]
    assert any(name.startswith("timm_model.stages.3.") for name in convnext)
    assert not any(name.startswith(("timm_model.stem", "timm_model.stages.2")) for name in convnext)
    assert "use trainable: all or head" in found["resnet18"]["last:1"]


def test_layers_learn_at_falling_rates(found):
    vit = found["vit_tiny_patch16_224"]
    assert vit["blocks"] == 2 and vit["undecayed"] > 0
    assert vit["rates"] == pytest.approx([0.25e-3, 0.5e-3, 1e-3, 1e-2])
    assert len(found["convnextv2_atto"]["rates"]) == 6


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_head_of_two_classes_grows_to_three(found, architecture):
    before, after = found[architecture]["healthy"]
    assert after == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_it_cannot_do_is_refused_by_name(found, architecture):
    assert "box_loss" in found[architecture]["box_loss"]
    assert "pooling" in found[architecture]["pooling"] and "model" in found[architecture]["pooling"]
    assert found[architecture]["cached_views"] == "not refused"
    assert "input_channels: 1 and model" in found[architecture]["one_channel"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_explained_or_says_why_not(found, architecture):
    explained = found[architecture]["heatmap"]
    assert "heat maps need that" in explained if architecture.startswith("vit") else len(explained) == 2
