"""The Space: the demo of hf_bones. `hf-bones space push` writes this file; change the template, not this.

In the Space's settings, the variable HF_BONES_MODEL names other models, Hub ids with commas between them, and the secret HF_BONES_AUTH
(USER:PASSWORD) lets in only who logs in.
"""

import importlib
import importlib.util
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODELS = ["bundled"]  # `bundled`, Hub ids, and folders that lie here


@contextmanager
def package_of_wheel() -> Iterator[None]:
    """While it lasts, the package of the wheel that lies here is first on the path, unpacked: no index need have it, and a Space installs
    its libraries before the files of its repository are there. Without a wheel the package that is installed is used."""
    with tempfile.TemporaryDirectory(prefix="hf-bones-package-") as package:
        for wheel in HERE.glob("hf_bones-*.whl"):
            with zipfile.ZipFile(wheel) as files:
                files.extractall(package)
        sys.path.insert(0, package)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))  # for processes of its own
        yield


def lent_gpu() -> Any:
    """What takes work to the GPU that a ZeroGPU Space lends to decorated functions, None elsewhere. `spaces` must come before torch."""
    if importlib.util.find_spec("spaces") is None:
        return None
    decorate = importlib.import_module("spaces").GPU
    return decorate(importlib.import_module("hf_bones.app.demo.models.lent_gpu").run)


def main() -> None:
    with package_of_wheel():
        run = lent_gpu()
        from hf_bones.app import launch
        from hf_bones.app.demo.settings import MODELS as VARIABLE
        from hf_bones.app.demo.settings import log_in, models_named

        own = [str(HERE / name) if (HERE / name).is_dir() else name for name in MODELS]
        entries = models_named(None if os.environ.get(VARIABLE) else own)
        launch(*(replace(entry, run=run) for entry in entries), auth=log_in(), open_browser=False)


if __name__ == "__main__":
    main()
