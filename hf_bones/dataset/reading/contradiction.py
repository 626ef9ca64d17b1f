"""What a source says of one image that cannot both be true, and what was done with it."""

from __future__ import annotations

from dataclasses import dataclass

LEFT_OUT, KEPT, STOPPED = "left out", "kept", "the build was stopped"  # what is done


@dataclass(frozen=True)
class Contradiction:
    """One image of a contradiction: its name, what is stated of it, and what was done with it.

    `kind` is what contradicts what; images that contradict each other have the same `case`.
    """

    kind: str
    case: str
    file: str
    stated: str
    done: str
