"""Watches over a run: what is going wrong ends it early, with a message that says what to change.

A loss, gradient or weight that is no number, a loss that leaves and stays away, gradients that overflow in every step of fp16, a dead
data loader, a damaged image, too little memory. No checkpoint is written of weights that are no numbers: the last good one stays.
Not here: which errors there are (`training/errors.py`).
"""

from __future__ import annotations

import math
import re
import shutil
from collections import deque
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_bones.config.recipe import Recipe, TrainConfig
from hf_bones.system import causes, disk_is_full
from hf_bones.training.data.on_device import Arriving
from hf_bones.training.errors import (
    DamagedImageError,
    DiskFullError,
    DivergedError,
    LoaderDiedError,
    ShardsOutOfReachError,
    TooLittleMemoryError,
)
from hf_bones.training.run.checkpoints import is_complete, last_complete_checkpoint, numbered
from hf_bones.training.run.hashes import HASHES, write_hashes
from hf_bones.training.run.sharding import local_part

P = ParamSpec("P")
T = TypeVar("T")

_STEPS_AHEAD = 8  # that the host may be ahead of the GPU
_DEAD_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(?: is killed by signal: ([^.]+))?")
_NO_SHARED_MEMORY = re.compile(r"shared memory|/dev/shm", re.IGNORECASE)
_NO_FILES_LEFT = re.compile(r"Too many open files|items of ancdata|too many fds", re.IGNORECASE)
_NO_MEMORY = re.compile(r"can't allocate memory|out of memory", re.IGNORECASE)


class WatchedTrainer(Trainer):
    """A Trainer that ends with `DivergedError` as soon as a loss, a prediction or a weight is no number, before it saves anything.

    Of several processes all see the same sum of losses, so that all end at the same step.
    """

    def __init__(self, *, watched: TrainConfig, **arguments: Any) -> None:
        self.watched = watched
        self.unread: deque[tuple[Arriving, int, float]] = deque()  # losses, their steps, their learning rates
        score = arguments.get("compute_metrics")
        if score is not None:
            arguments["compute_metrics"] = lambda prediction: score(self.finite(prediction))
        super().__init__(**arguments)
        self.add_callback(RunWatch(self))

    def train(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().train(*arguments, **options)
        finally:  # a bar that is left standing would be drawn once more below the message
            for callback in self.callback_handler.callbacks:
                for bar in (getattr(callback, "prediction_bar", None), getattr(callback, "training_bar", None)):
                    if bar is not None:
                        bar.close()

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        # Some steps late: by then the number is there, and the host may run ahead of the GPU, which is not kept waiting for it.
        self.read_losses(leave=_STEPS_AHEAD if self.args.device.type == "cuda" else 0)
        loss: torch.Tensor = super().training_step(*arguments, **options)
        total = self.accelerator.reduce(loss.detach(), reduction="sum") if self.args.world_size > 1 else loss.detach()
        self.unread.append((Arriving(total), self.state.global_step + 1, self.highest_rate()))
        return loss

    def read_losses(self, leave: int = 0) -> None:
        """Looks at all losses but the last `leave`. Raises `DivergedError` where one is NaN or infinite."""
        while len(self.unread) > leave:
            arriving, step, rate = self.unread.popleft()
            loss = arriving.value()
            if not math.isfinite(loss):
                raise DivergedError(not_finite(f"the loss is {loss}", step, rate, self.args, self.watched))

    def finite(self, prediction: Any) -> Any:
        """The prediction as it came. Raises `DivergedError` where it holds what is no number."""
        if not np.isfinite(np.asarray(prediction.predictions, dtype=np.float64)).all():
            self.end("the network's output for validation images is NaN or infinite")
        return prediction

    def end(self, what: str) -> None:
        """Raises `DivergedError` for the step that the run is at."""
        raise DivergedError(not_finite(what, self.state.global_step, self.highest_rate(), self.args, self.watched))

    def highest_rate(self) -> float:
        """The learning rate now, of the part of the network that has the highest."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups) if self.optimizer is not None else 0.0

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        self.read_losses()
        return super().evaluate(*arguments, **options)

    def save_model(self, *arguments: Any, **options: Any) -> None:
        self.read_losses()
        broken = torch.tensor(float(not weights_are_finite(self.model)), device=self.args.device)
        if self.args.world_size > 1:
            broken = self.accelerator.reduce(broken, reduction="sum")
        if broken.item():
            self.end("weights of the network are NaN or infinite")
        super().save_model(*arguments, **options)


class RunWatch(TrainerCallback):
    """What can be told from the logs and from the steps that fp16 skipped."""

    def __init__(self, trainer: WatchedTrainer) -> None:
        self.trainer = trainer
        self.skipped = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        limit = self.trainer.watched.skipped_steps
        self.skipped = self.skipped + 1 if args.fp16 and self.trainer.accelerator.optimizer_step_was_skipped else 0
        if limit and self.skipped >= limit:
            raise DivergedError(
                f"step {state.global_step}: the gradients overflowed in {self.skipped} steps in a row under mixed_precision: fp16, and "
                f"none of these steps changed a weight. Set mixed_precision: bf16 (or no); without such hardware lower learning_rate "
                f"({self.trainer.watched.learning_rate:g}). {what_is_left(args)}"
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        self.trainer.read_losses()
        norm = logs.get("grad_norm")
        if norm is not None and not np.isfinite(norm) and not args.fp16:
            self.trainer.end(f"the norm of the gradients is {norm}, at a loss of {logs['loss']:.3g}")
        config = self.trainer.watched
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        usual = has_left(losses, config.spike_factor, config.spike_logs)
        if usual is not None:
            raise DivergedError(
                f"step {state.global_step}: the training loss has stayed over {config.spike_factor:g} times its running median "
                f"({usual:.3g}) for {config.spike_logs} logs; it is {losses[-1]:.3g} now, at a learning rate of "
                f"{logs.get('learning_rate', 0):.3g} (learning_rate {config.learning_rate:g}). Lower learning_rate or lengthen warmup "
                f"({config.warmup:g}); where such a rise is expected, raise spike_factor or spike_logs. {what_is_left(args)}"
            )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.accelerator.wait_for_everyone()  # each process writes its own random state
        if state.is_world_process_zero:
            write_hashes(Path(str(args.output_dir), f"checkpoint-{state.global_step}"))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.read_losses()


def has_left(losses: list[float], factor: float, logs: int) -> float | None:
    """The median that the loss stood at before it left, if the last `logs` of `losses` are all away from it; else None.

    Away is over `factor` times the median of the up to `4 * logs` before them, and over half the way back from it to the first loss of
    the run: noise about a small loss is no reason to end a run.
    """
    recent, before = losses[-logs:], losses[:-logs][-4 * logs :]
    if not factor or len(before) < logs:
        return None
    usual = median(before)
    return usual if min(recent) > max(factor * usual, (usual + losses[0]) / 2) else None


def weights_are_finite(model: torch.nn.Module) -> bool:
    """Whether every parameter holds numbers only; of a sharded one this process's part."""
    with torch.no_grad():
        return bool(torch.stack([torch.isfinite(local_part(parameter)).all() for parameter in model.parameters()]).all())


def not_finite(what: str, step: int, rate: float, arguments: TrainingArguments, config: TrainConfig) -> str:
    """The message for what is NaN or infinite: at which step and settings, what to change, what is left."""
    precision = "fp16" if arguments.fp16 else "bf16" if arguments.bf16 else "no"
    half = "set mixed_precision: bf16 or no (fp16 overflows beyond 65,504); should it come again, " if arguments.fp16 else ""
    clipping = "" if arguments.max_grad_norm else ", set trainer: {max_grad_norm: 1.0},"
    if step <= 1:
        change = f"{half}look at what `model` predicts: nothing was learnt yet, so its weights or the settings of the loss are at fault"
    else:
        third = "lower learning_rate (a third is a fair first try), or head_learning_rate where that is high"
        change = f"{half}{third}{clipping} or lengthen warmup"
    return (
        f"step {step}: {what}. The learning rate was {rate:.3g} (learning_rate {config.learning_rate:g}, warmup {config.warmup:g}), "
        f"mixed_precision {precision}. What to do: {change}. {what_is_left(arguments)}"
    )


def what_is_left(arguments: TrainingArguments) -> str:
    """A sentence on the checkpoint that a failed run leaves, and how to start with other settings."""
    kept = last_complete_checkpoint(Path(str(arguments.output_dir)))
    left = f"The last good checkpoint is {kept}" if kept else "No checkpoint had been saved yet"
    return f"{left}. Other settings want another output_dir, or --resume false"


def says_what_to_change(train: Callable[P, T]) -> Callable[P, T]:
    """Wraps a function that trains a recipe, its first argument: a dead data loader, a damaged image and too little memory end it with a
    `RunEndedError`."""

    @wraps(train)
    def watched(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return train(*arguments, **options)
        except (DamagedImageError, ShardsOutOfReachError) as error:
            # From another process torch hands on the whole traceback as the message; its last line is the message itself.
            raise type(error)(str(error).rpartition(f"{type(error).__name__}: ")[2].strip()) from error
        except (RuntimeError, MemoryError, OSError, SafetensorError) as error:
            recipe = cast(Recipe, arguments[0] if arguments else options["recipe"])
            if disk_is_full(error):
                raise DiskFullError(disk_advice(error, Path(recipe.training.output_dir))) from error
            if advice := loader_advice(str(error), recipe.training):
                raise LoaderDiedError(advice) from error
            if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or _NO_MEMORY.search(str(error)):
                raise TooLittleMemoryError(memory_advice(str(error), recipe.training, recipe.model.image_size)) from error
            raise

    return watched


def disk_advice(error: BaseException, output: Path) -> str:
    """What to do about a full disk, and what is left. A checkpoint that did not fit is deleted: it takes the room that is wanted."""
    for folder in numbered(output):
        if not (folder / HASHES).is_file() and not is_complete(folder):
            shutil.rmtree(folder, ignore_errors=True)
    said = next((each.strerror for each in causes(error) if isinstance(each, OSError) and each.strerror), "No space left on device")
    kept = last_complete_checkpoint(output)
    left = f"the same command resumes from {kept}" if kept else "run the same command again; no checkpoint had been saved yet"
    return f"{output}: the disk takes no more ({said}). Make room, then {left}"


def loader_advice(message: str, config: TrainConfig) -> str | None:
    """What to do about an error of the data loader; None where it is none."""
    kept = last_complete_checkpoint(Path(config.output_dir))
    again = f"The same command resumes from {kept}; data_loader_workers may differ" if kept else "Then run the same command again"
    workers = f"data_loader_workers (now {config.data_loader_workers}; 0 decodes in the training process)"
    dead = _DEAD_WORKER.search(message)
    if dead is not None:
        number, signal = dead.group(1), dead.group(2)
        how = f"was killed ({signal})" if signal else "is gone"
        return (
            f"data loader: worker process {number} {how}; most often memory or /dev/shm ran out ({free_memory()}). Lower {workers} or "
            f"batch_size, or give the machine more memory, a container more /dev/shm (docker run --shm-size 8g). {again}"
        )
    if config.data_loader_workers and _NO_SHARED_MEMORY.search(message):
        return (
            f"data loader: /dev/shm, through which the worker processes hand over images, is full ({free_memory()}). Lower {workers}, or "
            f"give a container more of it (docker run --shm-size 8g). {again}"
        )
    if config.data_loader_workers and _NO_FILES_LEFT.search(message):
        return f"data loader: too many open files. Raise the limit (ulimit -n 65536), or lower {workers}. {again}"
    return None


def memory_advice(message: str, config: TrainConfig, image_size: int) -> str:
    """What to do when a batch does not fit into memory."""
    checkpointing = "" if config.gradient_checkpointing else ", set gradient_checkpointing: true"
    cause = message.strip().splitlines()[0] if message.strip() else free_memory()
    return (
        f"out of memory ({cause}). Lower batch_size ({config.batch_size}) and raise gradient_accumulation_steps "
        f"({config.gradient_accumulation_steps}) by the same factor{checkpointing}, lower eval_batch_size ({config.eval_batch_size}) if it "
        f"happened in a validation, or lower image_size ({image_size})"
    )


def free_memory() -> str:
    """How much memory and /dev/shm are free now, in words; what the system does not tell is left out."""
    found = []
    memory = Path("/proc/meminfo")
    if memory.is_file() and (line := re.search(r"MemAvailable:\s+(\d+) kB", memory.read_text())):
        found.append(f"{int(line.group(1)) / 1e6:.1f} GB of memory")
    if Path("/dev/shm").is_dir():
        found.append(f"{shutil.disk_usage('/dev/shm').free / 1e9:.1f} GB of /dev/shm")
    return f"free now: {', '.join(found)}" if found else "free memory unknown"
