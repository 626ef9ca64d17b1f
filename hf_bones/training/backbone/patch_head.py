"""The patch head of a checkpoint: the linear layer that `box_loss` trains to ask each patch whether a fracture box covers it.

It stands in `patch_head.safetensors` beside the weights (`weight` (1, D), `bias` (1,), float32). A second layer of the same kind,
`box_head.safetensors`, may be fitted to say which patch of a film is the likeliest, for boxes and heat maps. transformers knows nothing of
these files; `BonePredictor` reads them. Importing this module imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE_NAME = "patch_head.safetensors"
BOX_HEAD = "box_head.safetensors"


@dataclass(frozen=True, eq=False)
class PatchHead:
    """A linear layer on one patch of the last hidden state: `weight` (D,) float32 and `bias`, both finite."""

    weight: npt.NDArray[np.float32]
    bias: float

    def __post_init__(self) -> None:
        if self.weight.ndim != 1 or not np.isfinite(self.weight).all() or not np.isfinite(self.bias):
            raise ValueError(f"a patch head has one row of finite weights and a finite bias, got weights of shape {self.weight.shape}")


def write_patch_head(head: PatchHead | None, folder: Path, name: str = FILE_NAME) -> None:
    """Writes `folder`/`name`; without a head, takes away the one that an earlier run left there."""
    from safetensors.numpy import save_file

    path = folder / name
    path.unlink(missing_ok=True)
    if head is not None:
        save_file({"weight": head.weight[None], "bias": np.array([head.bias], dtype=np.float32)}, path)
        path.chmod(0o644)


def read_patch_head(folder: Path, name: str = FILE_NAME) -> PatchHead | None:
    """The patch head beside a checkpoint's weights, None where there is no file. Raises ValueError naming a file that is something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / name
    if not path.is_file():
        return None
    try:
        stored = load_file(path)
        weight, bias = stored["weight"].astype(np.float32), stored["bias"].astype(np.float32)
        if weight.ndim != 2 or weight.shape[0] != 1 or bias.shape != (1,):
            raise ValueError(f"expected weight (1, D) and bias (1,), got {weight.shape} and {bias.shape}")
        return PatchHead(weight[0], float(bias[0]))
    except KeyError as error:
        raise ValueError(f"{path}: {error} is missing; a patch head has weight (1, D) and bias (1,)") from error
    except (SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a patch head: {error}") from error
