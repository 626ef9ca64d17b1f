"""`report_to`: the curves of a run while it goes on, in trackio or TensorBoard, kept on this machine.

trackio writes to its own store (TRACKIO_DIR, by default in the cache of Hugging Face), project `hf-bones`; TensorBoard's files lie in
the run's folder. A resumed run keeps its name. Nothing is sent anywhere: a Space or server that trackio is told of elsewhere is
refused, and its question to the Hub who is logged in is not asked.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback, TrackioCallback
from transformers.integrations.integration_utils import rewrite_logs

from hf_bones.config.recipe import RecipeError, TrainConfig
from hf_bones.record import read_json, write_json

PROJECT = "hf-bones"
NAME_FILE = "tracking.json"
TENSORBOARD = "tensorboard"  # folder, in the run's
_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def trackers(config: TrainConfig, entries: Mapping[str, Any], name: str, resumed: bool) -> list[TrainerCallback]:
    """What `report_to` asks for, ready for a Trainer; nothing for `none`. `name` is the recipe's, `entries` those of its `trainer:`.

    Raises `RecipeError` for an unknown name, a package that is not installed, and settings by which a run would leave this machine.
    """
    wanted = config.report_to
    if wanted == "none":
        return []
    if importlib.util.find_spec(wanted) is None:
        raise RecipeError(f"report_to: {wanted} is not installed; pip install 'hf-bones[track]', or set report_to: none")
    run = run_name(name, Path(config.output_dir), resumed)
    if wanted == "tensorboard":
        return [LocalTensorBoard(Path(config.output_dir) / TENSORBOARD / run)]
    for key in _ELSEWHERE:
        if os.environ.get(key):
            raise RecipeError(
                f"report_to: trackio keeps runs on this machine, but {key} in the environment would send this one to {os.environ[key]}; "
                "unset it (a finished run can be published with trackio.sync)"
            )
    if given := sorted(key for key in entries if key.startswith("trackio_")):
        raise RecipeError(f"report_to: trackio keeps runs on this machine; take {', '.join(given)} out of trainer:")
    return [LocalTrackio(run)]


def run_name(name: str, folder: Path, resumed: bool) -> str:
    """The name under which a run is tracked: the recipe's `name`, folder and time of its start, kept in the folder for a resumption."""
    file = folder / NAME_FILE
    if resumed and file.is_file():
        return str(read_json(file)["run"])
    parts = dict.fromkeys((name, folder.resolve().name, datetime.now().strftime("%Y%m%d-%H%M%S")))
    run = "-".join(parts)
    if int(os.environ.get("RANK", "0")) == 0:
        write_json(file, {"project": PROJECT, "run": run})
    return run


class LocalTensorBoard(TensorBoardCallback):
    """transformers' callback, writing to a folder of the run instead of one named after time and host."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.logging_dir = str(folder)

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        if state.is_world_process_zero:
            # What a killed run logged after the checkpoint that it resumes from is logged again: the first time is struck out.
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=state.global_step + 1 if state.global_step else None)
            print(f"tracking    tensorboard --logdir {Path(self.logging_dir).parent}")
        super().on_train_begin(args, state, control, **options)


class LocalTrackio(TrackioCallback):
    """transformers' callback with a project and name of ours, on this machine only, and optimiser steps as its steps."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def setup(self, args: Any, state: Any, model: Any, **options: Any) -> None:
        args.project, args.run_name = PROJECT, self.name
        args.trackio_static_space_id = False
        with hub_offline():
            super().setup(args, state, model, **options)

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **_: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)
        if state.is_world_process_zero and "train_runtime" not in logs:  # figures of the whole run make no curve
            self._trackio.log(rewrite_logs(logs), step=state.global_step)

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Nothing: by then the run is finished, and its figures stand in record.json."""


@contextmanager
def hub_offline() -> Iterator[None]:
    """Keeps huggingface_hub from any request, inside; trackio would ask it for the user's name, to label a local run."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
