"""How a run can end early: errors whose message says at which step, why, and what to change. Imports nothing heavy."""

from __future__ import annotations


class RunEndedError(RuntimeError):
    """A run that cannot go on as it is; the message names the recipe keys to change, and the checkpoint that is left."""


class DivergedError(RunEndedError):
    """The loss, the gradients or the weights are no longer numbers, or the loss left for good."""


class TooLittleMemoryError(RunEndedError):
    """The batch did not fit into memory."""


class LoaderDiedError(RunEndedError):
    """A process that decodes images is gone."""


class ShardsOutOfReachError(RunEndedError):
    """Streamed images that could not be fetched; the message names the shard."""


class DiskFullError(RunEndedError):
    """The disk took no more; the message names the checkpoint that is left."""


class DamagedCheckpointError(RunEndedError):
    """A checkpoint whose files are not as they were written, and no other to take in its place."""


class DamagedImageError(RunEndedError):
    """An image of the dataset that cannot be opened; the message names the row."""
