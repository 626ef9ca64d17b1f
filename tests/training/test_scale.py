"""Launch configurations, several processes, a lost process, a network split over processes. Run: pytest tests/training/test_scale.py"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import small_run
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env
from command_line import main, parse_recipe
from fsdp_on_cpu import ENVIRONMENT, run_split
from repository import ROOT
from small_run import assert_same_weights, last_step, weights
from tiny import bar_dataset, tiny_checkpoint
from transformers import AutoModelForImageClassification
from two_processes import run_two
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.config.recipe import RecipeError, launch_config, recipe_names
from hf_bones.config.rules import check_rules
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json
from hf_bones.training import processes
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.run.arguments import training_arguments
from hf_bones.training.run.checkpoints import last_complete_checkpoint
from hf_bones.training.run.sharding import SPLIT_OPTIMISER, prepare_sharding

CONFIGURATIONS = recipe_names("accelerate")


def stated_line(name: str) -> list[str]:
    """The words of the `accelerate launch` line in a configuration's comment, without those two."""
    path, _ = launch_config(name)
    comment = [line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    start = next(number for number, line in enumerate(comment) if line.startswith("accelerate launch"))
    words = []
    for line in comment[start:]:
        words.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            break
    line = " ".join(words)
    assert f"$(hf-bones accelerate-config {name})" in line
    return shlex.split(line.replace(f"$(hf-bones accelerate-config {name})", str(path)))[2:]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_each_launch_configuration_is_one_that_accelerate_reads(name, tmp_path):
    path, machine = launch_config(name)
    assert machine.startswith("For ") and machine.endswith(".")
    assert load_config_from_file(str(path)).mixed_precision == "no", "the recipe's mixed_precision decides only over 'no'"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(path.read_text() + "gpu_count: 4\n")
    with pytest.raises(ValueError, match="gpu_count"):
        load_config_from_file(str(wrong))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_line_in_a_launch_configuration_is_right_to_the_last_word(name, monkeypatch):
    monkeypatch.setattr("accelerate.utils.launch.is_port_in_use", lambda _: False)
    found, _, _ = _validate_launch_command(launch_command_parser().parse_args(stated_line(name)))
    recipe = parse_recipe(found.training_script_args)
    assert (ROOT / found.training_script).is_file()
    several = name not in ("cpu", "gpu")
    assert found.num_processes == (recipe.training.processes or 1)
    assert (recipe.training.processes is not None) == several == bool(found.multi_gpu or found.use_fsdp)
    assert recipe.training.cpu == found.use_cpu == ("cpu" in name)
    if several:
        environment = prepare_multi_gpu_env(found)
        assert {key: environment.get(key) for key in ENVIRONMENT} == (ENVIRONMENT if name == "fsdp" else dict.fromkeys(ENVIRONMENT))
    if name == "multi_node":
        assert (found.nnodes, found.nproc_per_node, found.node_rank) == ("2", "8", 0)
        assert (found.rdzv_backend, found.rdzv_endpoint) == ("static", "10.0.0.1:29500")


def test_the_number_of_processes_has_to_be_said():
    path, _ = launch_config("multi_gpu")
    with pytest.raises(ValueError, match="num_processes"):
        _validate_launch_command(launch_command_parser().parse_args(["--config_file", str(path), "train.py"]))


def test_the_command_says_where_the_launch_configurations_are():
    done = CliRunner().invoke(app, ["accelerate-config", "gpu"])
    assert done.exit_code == 0 and Path(done.output.strip()).name == "gpu.yaml"
    listed = CliRunner().invoke(app, ["accelerate-config"]).output
    assert all(name in listed and str(launch_config(name)[0]) in listed for name in CONFIGURATIONS)
    wrong = CliRunner().invoke(app, ["accelerate-config", "multi_gpus"])
    assert wrong.exit_code == 2 and "did you mean 'multi_gpu'" in wrong.output


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset", train=47)  # classes of 16, 16 and 15; four batches of ten, and seven rows left over
    tiny_checkpoint(folder / "start")
    tiny_checkpoint(folder / "convolutional", "convnextv2")
    return folder


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    steps = ("--batch_size", "10", "--gradient_accumulation_steps", "2", "--eval_batch_size", "4", "--epochs", "6")
    return small_run.arguments(ground, output, *steps, "--class_weights", "balanced", "--label_smoothing", "0.1", *more)


@pytest.fixture(scope="module")
def alone(ground, tmp_path_factory) -> Path:
    """One uninterrupted run in one process: its head fitted first, images augmented, two steps an epoch."""
    output = tmp_path_factory.mktemp("alone") / "run"
    assert main(arguments(ground, output)) == 0
    return output


def losses(folder: Path, key: str) -> np.ndarray:
    return np.array([entry[key] for entry in read_json(folder / "record.json")["history"] if key in entry], dtype=float)


def saved_whole(output: Path, step: int) -> bool:
    """Whether a run can be resumed from this step: on a busy machine a process may be lost while its files are being written."""
    latest = last_complete_checkpoint(output) if output.is_dir() else None
    return latest is not None and int(latest.name.rpartition("-")[2]) >= step


def test_two_processes_one_of_them_lost_and_all_started_again_reach_what_one_process_does(ground, alone, tmp_path):
    output = tmp_path / "run"
    path, _ = launch_config("multi_cpu")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path), "--num_processes", "2"]
    script = [str(ROOT / "scripts" / "train.py"), *arguments(ground, output, "--processes", "2")]
    command = [*launch, "--main_process_port", "0", *script]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    wait_for(lambda: saved_whole(output, 4) or first.poll() is not None)
    workers = {worker.environ().get("RANK"): worker for worker in psutil.Process(first.pid).children()}
    workers["1"].send_signal(signal.SIGKILL)
    assert first.wait(timeout=120) != 0
    assert not psutil.pid_exists(workers["0"].pid), "the other process ends too"
    assert not (output / "model.safetensors").exists(), "the run ended before a process could be killed"

    (code, printed), (other, _) = run_two(main, (arguments(ground, output, "--processes", "2"),), tmp_path / "again")
    assert (code, other) == (0, 0), printed[-3000:]
    assert "processes   2 on cpu" in printed and "resuming    from" in printed
    assert_same_weights(last_step(output), last_step(alone), atol=2e-4)
    for key in ("loss", "eval_selection"):
        np.testing.assert_allclose(losses(output, key), losses(alone, key), rtol=2e-3)
    assert read_json(output / "record.json")["metrics"]["validation"]["n"] == 18


def wait_for(done, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)


def test_a_split_network_trains_resumes_and_is_saved_as_a_whole_one_is(ground, alone, tmp_path):
    split, convolutional = tmp_path / "split", tmp_path / "convolutional"
    again = arguments(ground, split, "--processes", "2")
    runs = [
        again,
        split / "checkpoint-12",
        split / "model.safetensors",
        again,
        [*again, "--seed", "7"],
        arguments(ground, convolutional, "--model", str(ground / "convolutional"), "--epochs", "1", "--save_dtype", "float8"),
    ]
    both = run_two(run_split, (runs,), tmp_path / "printed", ENVIRONMENT)
    for code, printed in both:
        assert code == 0, printed[-3000:]
        assert "returned [0, 0, 2, 0]" in printed
        assert "holds a run whose seed differ" in printed
    assert f"resuming    from {split / 'checkpoint-10'}" in both[0][1]
    assert (last_step(split) / SPLIT_OPTIMISER).is_file()
    assert_same_weights(last_step(split), last_step(alone), atol=2e-4)
    assert_same_weights(split, alone, atol=2e-4)
    AutoModelForImageClassification.from_pretrained(last_step(split))
    assert {tensor.dtype for tensor in weights(convolutional).values()} == {torch.float16, torch.float8_e4m3fn}


def fake_trainer(ground: Path, **settings) -> SimpleNamespace:
    wanted = {
        "fsdp_version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "FULL_STATE_DICT",
        "cpu_ram_efficient_loading": False,
        "activation_checkpointing": False,
    }
    model, _ = load_model(parse_recipe(arguments(ground, Path("x"))).model, THREE_CLASS)
    plugin = FullyShardedDataParallelPlugin(**{**wanted, **settings})
    return SimpleNamespace(model=model, accelerator=SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin)))


def test_networks_are_split_by_their_blocks(ground):
    trainer = fake_trainer(ground)
    prepare(trainer, parse_recipe(arguments(ground, Path("x"))), None)
    assert trainer.accelerator.state.fsdp_plugin.transformer_cls_names_to_wrap == ["Dinov2Layer"]


@pytest.mark.parametrize(
    ("more", "settings", "message"),
    [
        (["--epochs", "0", "--label_smoothing", "0", "--head_start", "probe"], {}, "epochs: 0: nothing is trained"),
        (["--cached_views", "1", "--trainable", "head"], {}, "cached_views: 1: .*needs the whole network"),
        (["--extra_heads", "region"], {}, "extra_heads: .*FSDP splits"),
        (["--lora_rank", "4"], {}, "lora_rank: 4: .*FSDP"),
        (["--torch_compile", "whole"], {}, "torch_compile: whole: .*blocks or off"),
        ([], {"fsdp_version": 1, "reshard_after_forward": "FULL_SHARD"}, "fsdp_version: must be 2"),
        ([], {"auto_wrap_policy": "NO_WRAP"}, "fsdp_auto_wrap_policy: must be TRANSFORMER_BASED_WRAP"),
        ([], {"state_dict_type": "SHARDED_STATE_DICT"}, "fsdp_state_dict_type: must be FULL_STATE_DICT"),
        ([], {"cpu_ram_efficient_loading": True}, "fsdp_cpu_ram_efficient_loading: must be false"),
        ([], {"activation_checkpointing": True}, "the recipe has gradient_checkpointing"),
    ],
)
def test_what_does_not_go_with_a_split_network_is_named(ground, more, settings, message):
    with pytest.raises(RecipeError, match=message):
        prepare(fake_trainer(ground, **settings), parse_recipe(arguments(ground, Path("x"), *more)), None)


def test_fsdp_without_gpus_is_no_silent_training_of_copies(ground, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    trainer = SimpleNamespace(accelerator=SimpleNamespace(state=SimpleNamespace()))
    with pytest.raises(RecipeError, match=r"distributed_type: FSDP .*multi_cpu\.yaml"):
        prepare(trainer, parse_recipe(arguments(ground, Path("x"))), None)


@pytest.mark.parametrize(
    ("file", "split", "message"), [("optimizer.pt", True, "saved without FSDP"), (SPLIT_OPTIMISER, False, "with FSDP")]
)
def test_a_checkpoint_is_resumed_as_it_was_saved(ground, tmp_path, file, split, message):
    (tmp_path / file).touch()
    trainer = fake_trainer(ground) if split else SimpleNamespace(accelerator=SimpleNamespace(state=SimpleNamespace()))
    with pytest.raises(RecipeError, match=f"output_dir: .*{message}"):
        prepare(trainer, parse_recipe(arguments(ground, Path("x"))), tmp_path)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="needs a machine without a GPU")
def test_processes_on_a_machine_without_gpus_need_not_be_told_to_stay_on_the_cpu(ground, tmp_path, monkeypatch):
    recipe = parse_recipe(arguments(ground, tmp_path, "--cpu", "false"))
    assert processes.on_cpu(recipe.training)
    assert training_arguments(recipe.training, recipe.trainer, 40).use_cpu
    joined = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "PartialState", lambda **options: joined.append(options))
    processes.join_processes(recipe.training, recipe.trainer)
    assert joined[0]["cpu"] is True and joined[0]["timeout"].total_seconds() == 1800


def test_a_folder_that_only_one_machine_sees_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    processes.require_shared(tmp_path / "run.json", "output_dir", seconds=0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match=r"output_dir: .*run\.json"):
        processes.require_shared(tmp_path / "run.json", "output_dir", seconds=0)
    (tmp_path / "run.json").touch()
    processes.require_shared(tmp_path / "run.json", "output_dir", seconds=0)


def prepare(trainer, recipe, resume_from):
    if prepare_sharding(trainer, resume_from):
        check_rules(recipe, "fsdp")
