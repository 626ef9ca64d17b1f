"""Classify bone radiographs as healthy, fractured or beyond repair. A research tool, not a medical device.

What `__all__` names is the Python API: a function for each step (`build`, `curate`, `train`, `evaluate`, `predict`, `push`), what they
return, and `BonePredictor`, which keeps a model loaded. It changes only with a new minor version and a line in the changelog. Nothing else
is promised: other modules, their functions and their layout may change at any time.

Importing the package imports neither torch nor transformers nor datasets; each name is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_bones.api.build import build
    from hf_bones.api.curate import Curation, curate
    from hf_bones.api.evaluate import evaluate
    from hf_bones.api.predict import predict
    from hf_bones.api.push import push
    from hf_bones.api.train import train
    from hf_bones.dataset.build import BuildResult
    from hf_bones.evaluation.report.results import Evaluation
    from hf_bones.hub.push import Pushed
    from hf_bones.inference.finding import Finding
    from hf_bones.inference.predictor import BonePredictor

__version__ = "0.2.0"
__all__ = [
    "BonePredictor", "BuildResult", "Curation", "Evaluation", "Finding", "Pushed", "__version__", "build", "curate", "evaluate", "predict",
    "push", "train",
]  # fmt: skip

_LAZY = {
    "BonePredictor": "hf_bones.inference.predictor",
    "BuildResult": "hf_bones.dataset.build",
    "Curation": "hf_bones.api.curate",
    "Evaluation": "hf_bones.evaluation.report.results",
    "Finding": "hf_bones.inference.finding",
    "Pushed": "hf_bones.hub.push",
    **{name: f"hf_bones.api.{name}" for name in ("build", "curate", "evaluate", "predict", "push", "train")},
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
