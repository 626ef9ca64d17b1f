"""Small constants that lie on the device already: copying one from the host in each step makes the host wait for the GPU to fall idle."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """The float32 tensor (N,) of `values` on `device`, the same one each time: not to be written to."""
    with torch.inference_mode(False):  # one made in inference mode could not be used in training
        return torch.tensor(values, device=device)
