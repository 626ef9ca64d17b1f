"""The sizes that a checkpoint's config states, held against its weights before a network is built from them.

A config of some hundred bytes can ask for a network of terabytes, or of a million layers, and whoever downloads a checkpoint has not
written it. What it describes must be what its weights hold. Not here: pickled weights, which are never loaded (`inference/checkpoint.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_CONFIG_BYTES = 2**20
MAX_HEADER_BYTES = 32 * 2**20  # of a safetensors file
MAX_INPUT_SIDE = 8192  # px
MAX_LAYERS = 512
MAX_SIZE = 65_536  # of anything that a config counts, where no weights are at hand
SMALL = 1024  # sizes up to this need no weights that bear them out
SPARE = 1.25, 20_000_000  # a network may have so many times the parameters of the weights, and so many more: heads that are new

_DEPTH = ("layer", "depth", "block", "stage", "repeat")
_FREE = ("token_id", "id2label", "label2id", "image_size", "vocab_size", "max_position", "seed", "_size_of_")


class CheckpointSizeError(ValueError):
    """A config that asks for more than its weights hold or for what is not loaded, or weights that say so of themselves."""


@dataclass(frozen=True)
class WeightSizes:
    """Of the weights of a checkpoint: number of tensors, of parameters, and the largest side of any tensor."""

    tensors: int
    parameters: int
    largest: int


def check_sizes(folder: Path) -> None:
    """Checks config.json and the headers of the weights in `folder`, then what the config describes. Raises `CheckpointSizeError`."""
    config = _read(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    weights = weight_sizes([path for path in files if path.name.startswith("model")])
    check_config(config, weights)
    described = _described_parameters(folder)
    allowed = SPARE[0] * weights.parameters + SPARE[1]
    if described is not None and described > allowed:
        raise CheckpointSizeError(f"config.json describes a network of {described:,} parameters, the weights hold {weights.parameters:,}")


def check_config(config: Mapping[str, Any], weights: WeightSizes | None = None) -> None:
    """Holds every whole number of a config to what weights bear out, or without weights to `MAX_SIZE`. Raises `CheckpointSizeError`, for
    quantised weights too: they need libraries of their own, and what a stranger states of them reaches these libraries unchecked."""
    if (stated := config.get("quantization_config")) is not None:
        how = str(stated.get("quant_method", "")) if isinstance(stated, Mapping) else ""
        named = f" ({how[:40]})" if how.isprintable() and how else ""
        raise CheckpointSizeError(
            f"config.json asks for quantised weights{named} in quantization_config; hf_bones loads unquantised ones alone"
        )
    for key, value in _numbers(config):
        name = key.lower()
        if "image_size" in name or "input_size" in name:
            most = MAX_INPUT_SIDE
        elif any(free in name for free in _FREE):
            continue
        elif any(part in name for part in _DEPTH) and "size" not in name:
            most = max(64, min(weights.tensors, 10 * MAX_LAYERS)) if weights else MAX_LAYERS
        else:
            most = max(SMALL, weights.largest) if weights else MAX_SIZE
        if abs(value) > most:
            found = f"{value:,}" if abs(value) < 10**15 else "a number without measure"
            raise CheckpointSizeError(
                f"config.json: {key} is {found}, which {'its weights do not bear out' if weights else 'is too much'} (at most {most:,})"
            )


def weight_sizes(files: list[Path]) -> WeightSizes:
    """From the headers of safetensors files, without their weights. Raises `CheckpointSizeError` for a header that is malformed."""
    tensors = parameters = largest = 0
    for path in files:
        for name, entry in _header(path).items():
            if name == "__metadata__":
                continue
            try:
                shape = [int(side) for side in entry["shape"]]
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointSizeError(f"{path.name}: the header is damaged at {name[:80]}") from error
            tensors += 1
            parameters += math.prod(shape)
            largest = max(largest, *shape, 0)
    return WeightSizes(tensors, parameters, largest)


def _header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: eight bytes of length, then JSON."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointSizeError(f"{path.name}: its header of {length:,} bytes cannot be in a file of {size:,}")
        text = stream.read(length)
    return _parsed(text, path)


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise CheckpointSizeError(f"{path.name} has {path.stat().st_size:,} bytes; a config has some thousand")
    return _parsed(path.read_bytes(), path)


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointSizeError(f"{path.name} is no JSON that can be read: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise CheckpointSizeError(f"{path.name} holds no JSON object")
    return found


def _numbers(config: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number in a config with the key that it stands under."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            if name not in ("id2label", "label2id"):
                yield from _numbers(value, str(name))
    elif isinstance(config, (list, tuple)):
        if len(config) > MAX_LAYERS and not any(isinstance(value, str) for value in config):
            raise CheckpointSizeError(f"config.json: {key} has {len(config):,} entries")
        for value in config:
            yield from _numbers(value, key)
    elif isinstance(config, int) and not isinstance(config, bool):
        yield key, config
    elif isinstance(config, float) and config.is_integer():
        yield key, int(config)


def _described_parameters(folder: Path) -> int | None:
    """Parameters of the network that the config describes, none of which is allocated; None where it cannot be laid out so."""
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForImageClassification.from_config(config, trust_remote_code=False)
    except Exception:  # noqa: BLE001 - whatever a stranger's config makes the code of a model raise
        return None  # what is wrong with it is said by whoever loads it
    return sum(parameter.numel() for parameter in model.parameters())
