"""What we override or read of other libraries that they do not promise to keep: `python -m pytest tests/test_private_hooks.py`.

Each is there in the installed version as we rely on it, and its library has an upper bound in pyproject.toml, so that a release in which
it may have changed is tried before anyone is given it.
"""

import inspect
import tomllib
from importlib import metadata
from pathlib import Path

import evaluate
import gradio
import httpx2
import pytest
import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from packaging.requirements import Requirement
from transformers import PreTrainedModel, Trainer
from transformers.integrations import TensorBoardCallback, TrackioCallback

from hf_bones.training.bone_trainer import PRIVATE_HOOKS
from hf_bones.training.distill.trainer import DistillTrainer

# Overridden in training: name → parameters after self.
TRAINER = {
    "_get_train_sampler": ("train_dataset",),
    "_load_best_model": (),
    "_load_from_checkpoint": ("resume_from_checkpoint", "model"),
}
METHODS = [
    *((Trainer, name, parameters) for name, parameters in TRAINER.items()),
    (PreTrainedModel, "_init_weights", ("module",)),
    (TensorBoardCallback, "on_train_begin", ("args", "state", "control", "kwargs")),
    (TrackioCallback, "setup", ("args", "state", "model", "kwargs")),
    (TrackioCallback, "on_log", ("args", "state", "control", "model", "logs", "kwargs")),
    (AcceleratorState, "_reset_state", ("reset_partial_state",)),
    (evaluate.Metric, "_info", ()),
    (evaluate.Metric, "_compute", ("predictions", "references", "kwargs")),
    (gradio.Image, "preprocess", ("payload",)),
    (gradio.UploadButton, "preprocess", ("payload",)),
    (gradio.File, "preprocess", ("payload",)),
    (gradio.File, "example_payload", ()),
    (gradio.File, "example_value", ()),
    (gradio.JSON, "api_info", ()),
    (gradio.blocks.Block, "async_move_resource_to_block_cache", ("url_or_file_path",)),
    (gradio.queueing.Queue, "push", ("body", "request", "username")),
]
ATTRIBUTES = [
    (TensorBoardCallback, "_SummaryWriter"),
    (TrackioCallback, "_trackio"),
    (TrackioCallback, "_initialized"),
    (httpx2.AsyncHTTPTransport, "_pool"),
    (gradio.Blocks, "_queue"),
    (lambda: gradio.Blocks()._queue, "event_queue_per_concurrency_id"),
    (lambda: gradio.Blocks()._queue, "active_jobs"),
    (gradio.Blocks, "GRADIO_CACHE"),
    (torch.nn.Module, "_modules"),
    (lambda: Dataset.from_dict({"label": [0]}), "_fingerprint"),
]
CLASS_ATTRIBUTES = ("_supports_sdpa", "_supports_flash_attn", "_supports_attention_backend")  # set for pooled classifiers
LIBRARIES = ("transformers", "accelerate", "datasets", "evaluate", "gradio", "httpx2", "torch")


@pytest.mark.parametrize(("owner", "name", "parameters"), METHODS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_private_method_takes_what_we_hand_it(owner, name, parameters):
    assert tuple(each for each in inspect.signature(getattr(owner, name)).parameters if each != "self") == parameters


@pytest.mark.parametrize(("make", "name"), ATTRIBUTES, ids=[name for _, name in ATTRIBUTES])
def test_a_private_attribute_is_there(make, name):
    assert hasattr(make(), name)


@pytest.mark.parametrize("name", CLASS_ATTRIBUTES)
def test_transformers_asks_a_model_class_what_attention_it_takes(name):
    assert hasattr(PreTrainedModel, name)


def test_our_trainers_override_the_listed_private_methods_of_the_trainer_and_no_others():
    ours = [kind for kind in DistillTrainer.__mro__ if kind.__module__.startswith("hf_bones.")]
    overridden = {name for kind in ours for name in vars(kind) if name.startswith("_") and not name.startswith("__")}
    assert overridden == set(PRIVATE_HOOKS) == set(TRAINER)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_with_private_hooks_has_an_upper_bound_that_the_installed_one_keeps(library):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    (specifier,) = [one.specifier for one in map(Requirement, project["dependencies"]) if one.name == library]
    assert any(bound.operator == "<" for bound in specifier)
    assert metadata.version(library).split("+")[0] in specifier
