"""The demo: `build_demo` makes the page for any checkpoint, `launch` opens it.

gradio is imported when one of them is asked for, so that a command line that only reads its arguments stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_bones.app.demo.page import build_demo, launch

__all__ = ["build_demo", "launch"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("hf_bones.app.demo.page"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
