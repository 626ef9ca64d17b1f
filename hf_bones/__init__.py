"""Classify bone radiographs as healthy, fractured or beyond repair. A research tool, not a medical device.

Importing the package imports neither torch nor transformers; `BonePredictor` and `Finding` are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_bones.inference.finding import Finding
    from hf_bones.inference.predictor import BonePredictor

__version__ = "0.1.0"
__all__ = ["BonePredictor", "Finding", "__version__"]

_LAZY = {"BonePredictor": "hf_bones.inference.predictor", "Finding": "hf_bones.inference.finding"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
