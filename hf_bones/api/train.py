"""`hf_bones.train`: a recipe → a checkpoint, as `hf-bones train` and `hf-bones distill` make it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_bones.config.recipe import load_recipe, override
from hf_bones.finetune import run


def train(recipe: str | Path = "quickstart", *, dataset: str | Path | None = None, out: str | Path, **keys: Any) -> Path:
    """Fine-tunes from a recipe in this process, calibrates on the validation rows, and writes the checkpoint with record and card.

    Several GPUs need `accelerate launch scripts/train.py`; a recipe with teachers distils. A run that was stopped resumes when the
    function is called again with the same arguments.

    Args:
        recipe: A shipped recipe by name (`hf-bones recipes` lists them), or a YAML file.
        dataset: A folder that `build` wrote, or a Hub id. None: what the recipe says, which for "quickstart" is drawn radiographs.
        out: Folder for the checkpoint.
        **keys: Keys of a recipe with their values, which win over the recipe's: `epochs=3`, `image_size=448`. The reference of recipe
            keys lists them with their ranges.

    Returns:
        The folder of the finished checkpoint, for `evaluate`, `predict` and `push`.

    Raises:
        RecipeError: An unknown recipe or key (the message names the nearest), a value out of its range, or keys that do not go
            together. A ValueError.
        ValueError: A dataset that cannot be trained on.
        OSError: A dataset or weights that are neither here nor, without a network, to be had from the Hub.
        RunEndedError: The run has to end: a loss that is not a number or stays high, a damaged image. The message says what to
            change.

    Examples:
        A small network from scratch, for a few seconds; a real run leaves out `epochs` and `image_size`.

        >>> from hf_bones import train
        >>> checkpoint = train("small-cnn", dataset="data/mine", out="runs/mine", epochs=1, image_size=64)
        recipe      small-cnn: small-cnn at 64 px
        ...
        checkpoint  runs/mine (...)
        >>> checkpoint
        PosixPath('runs/mine')
    """
    if "output_dir" in keys:
        raise TypeError("train(): the folder of the checkpoint is given as out, not as output_dir")
    given = {"dataset": dataset, **keys, "output_dir": out}
    if dataset is None:
        del given["dataset"]
    return run(override(load_recipe(recipe), {key: _plain(value) for key, value in given.items()}, "train()"))


def _plain(value: Any) -> Any:
    """A value as a recipe has it: text for paths, a list for a tuple."""
    if isinstance(value, Path):
        return str(value)
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
