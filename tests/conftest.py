"""Settings of the whole suite: no network, few threads, deterministic property tests.

More examples of these: HYPOTHESIS_PROFILE=thorough pytest tests/images"""

import gc
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
settings.register_profile("thorough", deadline=None, max_examples=3000, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

from hub_server import hub  # noqa: E402, F401 - a fixture
from rogue_server import rogue  # noqa: E402, F401 - a fixture


def pytest_collection_finish() -> None:
    """What the imports left lives to the end: each full collection (the Trainer asks for one in every run) need not go through it."""
    gc.collect()
    gc.freeze()
