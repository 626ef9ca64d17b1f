"""A second look at doubtful films (`--zoom`): windows of the film at twice the size, and what their patches add to its log odds.

A film is scaled so that its long side is `scale` times the model's input and cut into windows of the input's size. The mean of the highest
patch logits over all windows is the film's evidence (`top` 1: the maximum), which joins its answer as `join.py` has it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hf_bones.inference.join import Floats, PatchJoin, join_numbers
from hf_bones.preprocess import fit_to

Pixels = npt.NDArray[np.uint8]

SCALE, TOP = 2.0, 5


@dataclass(frozen=True)
class SecondLook(PatchJoin):
    """How a second look joins the first one.

    scale: long side of the film ÷ the model's input size, over 1. top: how many of the highest patch logits are averaged. doubtful: the
    range of calibrated P(abnormal) in which a film gets the second look, ends included.
    """

    scale: float = SCALE
    top: int = TOP
    doubtful: tuple[float, float] = (0.0, 1.0)

    KEY: ClassVar[str] = "second_look"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.scale <= 8:
            raise ValueError(f"second_look: scale must be from 1 to 8, got {self.scale}")
        if self.top < 1:
            raise ValueError(f"second_look: top must be 1 or more, got {self.top}")
        if len(self.doubtful) != 2 or not 0 <= self.doubtful[0] <= self.doubtful[1] <= 1:
            raise ValueError(f"second_look: doubtful must be a range within [0, 1], got {list(self.doubtful)}")

    def is_doubtful(self, abnormal: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which films get the second look, (N,), from their calibrated P(abnormal) (N,)."""
        chance = np.asarray(abnormal, dtype=np.float64)
        return (chance >= self.doubtful[0]) & (chance <= self.doubtful[1])

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "doubtful": list(self.doubtful)}


def second_look_from(data: object, where: str) -> SecondLook | None:
    """The second look of decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    numbers = join_numbers(data, SecondLook.KEY, where)
    assert isinstance(data, Mapping)  # join_numbers has refused anything else
    try:
        low, high = data["doubtful"]
        return SecondLook(**numbers, scale=float(data["scale"]), top=int(data["top"]), doubtful=(float(low), float(high)))
    except KeyError as error:
        raise ValueError(f"{where}: second_look: key {error} is missing; fit it again with `hf-bones second-look`") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def window_places(height: int, width: int, size: int) -> list[tuple[int, int]]:
    """Top left corners (y, x) of the fewest windows of `size` px that cover an image, evenly spread; one where a side is no longer."""

    def starts(side: int) -> list[int]:
        count = max(1, math.ceil(side / size))
        return [round(place * (side - size) / (count - 1)) for place in range(count)] if count > 1 else [0]

    return list(itertools.product(starts(height), starts(width)))


def windows(pixels: Pixels, size: int, scale: float) -> list[Pixels]:
    """A grey image (H, W) with its long side scaled to `scale` × `size` px, as windows of up to `size` × `size` px that cover it."""
    enlarged = fit_to(pixels, round(scale * size))
    return [enlarged[y : y + size, x : x + size] for y, x in window_places(enlarged.shape[0], enlarged.shape[1], size)]


def evidence_of_doubtful(
    look: SecondLook, abnormal: npt.ArrayLike, films: Sequence[Pixels], ask: Callable[[Sequence[Pixels]], Floats], mirror: bool
) -> Floats:
    """The evidence of the films that are doubtful by their calibrated P(abnormal) (N,), NaN for the others, (N,).

    `ask` gives the evidence of films. With `mirror` it is the mean over each film and its mirror image.
    """
    doubtful = look.is_doubtful(abnormal)
    chosen = [film for film, is_doubtful in zip(films, doubtful, strict=True) if is_doubtful]
    found: Floats = np.full(len(films), np.nan)
    if chosen:
        views = [chosen, [film[:, ::-1] for film in chosen]] if mirror else [chosen]
        found[doubtful] = np.mean([ask(view) for view in views], axis=0)
    return found


def film_evidence(
    films: Iterable[Pixels], ask: Callable[[Sequence[Pixels], int], Floats], size: int, scale: float, top: int, batch_size: int
) -> Floats:
    """The evidence of each film, (N,): the mean of its `top` highest patch logits over all of its windows.

    `ask` gives the `top` highest patch logits of each of a batch of windows, (B, top), −inf where a window has fewer. Windows of several
    films share a batch, and no more than one batch and one film are cut at a time.
    """
    highest: list[list[float]] = []

    def cut() -> Iterator[tuple[int, Pixels]]:
        for number, film in enumerate(films):
            highest.append([])
            yield from ((number, window) for window in windows(film, size, scale))

    remaining = cut()
    while batch := list(itertools.islice(remaining, batch_size)):
        for (number, _), found in zip(batch, ask([window for _, window in batch], top), strict=True):
            highest[number] = sorted([*highest[number], *found[np.isfinite(found)].tolist()], reverse=True)[:top]
    return np.array([np.mean(each) for each in highest], dtype=np.float64)
