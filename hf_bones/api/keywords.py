"""Keywords that a function does not have are errors that name the nearest one that it has, as keys of a recipe are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from hf_bones.config.fields import nearest

P = ParamSpec("P")
R = TypeVar("R")


def names_nearest(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose TypeError for an unknown keyword says which known one is near."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                raise TypeError(f"{function.__name__}(): unknown keyword {name!r}{nearest(name, known)}")
        return function(*args, **keywords)

    return call
