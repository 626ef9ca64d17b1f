"""Runs of `hf_bones.finetune` under accelerate's FSDP2 on CPU processes, where accelerate itself splits networks on GPUs only."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}


def run_split(runs: list[list[str] | Path]) -> int:
    """Makes the runs of these argument lists one after the other in this process; a path among them is what the first process deletes
    at that point. Prints what they returned."""
    from accelerate import Accelerator, PartialState
    from accelerate.utils import DistributedType
    from command_line import main

    start = Accelerator.__init__

    def start_as_if_on_gpus(self: Accelerator, *arguments: Any, **options: Any) -> None:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        start(self, *arguments, **options)

    Accelerator.__init__ = start_as_if_on_gpus  # type: ignore[method-assign]
    returned = []
    for run in runs:
        if isinstance(run, list):
            returned.append(main(run))
        elif os.environ["RANK"] == "0":
            shutil.rmtree(run) if run.is_dir() else run.unlink()
    print(f"returned {returned}", flush=True)
    return 0
