"""The Space: the demo of hf_bones. `hf-bones space push` writes this file; change the template, not this.

HF_BONES_MODEL, a variable in the Space's settings, names other models: Hub ids with commas between them.
"""

import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
MODELS = ["bundled"]  # a name of a folder here, `bundled`, or a Hub id


@contextmanager
def wheel_beside() -> Iterator[None]:
    """While it lasts, the package of the wheel that lies here is first on the path, unpacked: no index need have it, and a Space installs
    its libraries before the files of its repository are there. Without a wheel the package that is installed is used."""
    wheels = sorted(HERE.glob("hf_bones-*.whl"))
    with tempfile.TemporaryDirectory(prefix="hf-bones-package-") as package:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as files:
                files.extractall(package)
        sys.path.insert(0, package)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))  # for processes of its own
        yield


def main() -> None:
    with wheel_beside():
        from hf_bones.app import launch

        launch(os.environ.get("HF_BONES_MODEL") or MODELS[0], open_browser=False)


if __name__ == "__main__":
    main()
