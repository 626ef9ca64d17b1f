"""Numbers that go between host and device without the host waiting for the GPU to fall idle, as a plain copy in each step makes it do."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """The float32 tensor (N,) of `values` on `device`, the same one each time: not to be written to."""
    with torch.inference_mode(False):  # one made in inference mode could not be used in training
        return torch.tensor(values, device=device)


class Arriving:
    """A single number on its way from the device.

    Its copy is queued right behind the work that gives it, so that `value` waits for that work alone; a copy that is asked for later would
    be queued, and waited for, behind everything that the GPU was given since.
    """

    def __init__(self, number: torch.Tensor) -> None:
        self._copied: torch.cuda.Event | None = None
        self._there = number
        if number.is_cuda:
            self._there = torch.empty(number.shape, dtype=number.dtype, pin_memory=True)
            self._there.copy_(number, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def value(self) -> float:
        if self._copied is not None:
            self._copied.synchronize()
        return float(self._there)
