"""The package as a wheel, made from what is installed, and its requirements at the versions that are installed with it.

A Space gets both, so that it runs where no index has this version of the package. Nothing is built by a build backend, and nothing is
fetched: a wheel of pure Python is a ZIP of the package's files beside its metadata (PEP 427). The same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

DISTRIBUTION = "hf-bones"
PACKAGE = Path(__file__).parents[1]
_LEFT_OUT = {".pyc", ".pyi"}
_AS_SMALL_AS_CAN_BE = (".safetensors", ".npz", ".png")  # most of the time for a quarter of the size
_MADE_ON = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can say
_WHEEL = "Wheel-Version: 1.0\nGenerator: hf-bones\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_REINSTALL = "install it again: `pip install -e .` in a checkout, `pip install --force-reinstall hf-bones` elsewhere"


class PackageError(ValueError):
    """The package that runs is not the one whose metadata are installed; the message says what to do."""


def write_wheel(folder: Path) -> Path:
    """Writes `hf_bones-VERSION-py3-none-any.whl` into `folder` and returns its path: code, bundled model, all of the package.

    Raises `PackageError` where the package is not installed, or its metadata are of another version or older than its pyproject.toml.
    """
    installed, version = _installed(), package_version()
    about = f"hf_bones-{version}.dist-info"
    contents = {f"hf_bones/{path.relative_to(PACKAGE).as_posix()}": path.read_bytes() for path in _package_files()}
    contents |= {f"{about}/{name}": text.encode() for name, text in _metadata_files(installed).items()}
    record = f"{about}/RECORD"
    contents[record] = "".join([*(_record_line(name, content) for name, content in contents.items()), f"{record},,\n"]).encode()
    path = folder / f"hf_bones-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _MADE_ON)
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(_AS_SMALL_AS_CAN_BE) else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            wheel.writestr(entry, content)
    return path


def package_version() -> str:
    """What `hf_bones/__init__.py`, the one place that says it, gives as the version."""
    stated = re.search(r'^__version__ = "([^"]+)"', (PACKAGE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if stated is None:
        raise PackageError(f"{PACKAGE / '__init__.py'} states no __version__; {_REINSTALL}")
    return stated[1]


def pinned_requirements() -> list[str]:
    """`name==version` of each library that the package needs, as it is installed here, in the order of their names.

    Without the build that a version may name (`2.13.0+cpu`). Raises `PackageError` as `write_wheel`, and where one is not installed.
    """
    pins = []
    for needed in map(Requirement, _installed().requires or ()):
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = Version(metadata.version(needed.name))
        except metadata.PackageNotFoundError as error:
            raise PackageError(f"{needed.name}, which hf-bones needs, is not installed; {_REINSTALL}") from error
        pins.append(f"{needed.name}=={version.public}")
    return sorted(pins)


def _installed() -> metadata.Distribution:
    try:
        found = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise PackageError(f"hf-bones in {PACKAGE.parent} is not installed, so its requirements are unknown; {_REINSTALL}") from error
    if found.version != package_version():
        raise PackageError(f"hf-bones {package_version()} runs, but {found.version} is installed; {_REINSTALL}")
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        stated = _normal(tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("dependencies", []))
        if stated != _normal(each for each in found.requires or () if "extra ==" not in each):
            raise PackageError(f"{project} states other requirements than are installed; {_REINSTALL}")
    return found


def _normal(requirements: object) -> set[tuple[str, str]]:
    read = [Requirement(str(each)) for each in requirements]  # type: ignore[attr-defined]
    return {(re.sub(r"[-_.]+", "-", each.name).lower(), str(each.specifier)) for each in read}


def _package_files() -> list[Path]:
    """What belongs to the package: nothing hidden, nothing that Python or mypy left."""
    found = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in _LEFT_OUT]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(PACKAGE).parts))


def _metadata_files(installed: metadata.Distribution) -> dict[str, str]:
    """Name below `.dist-info` → text."""
    texts = {"METADATA": installed.read_text("METADATA"), "WHEEL": _WHEEL, "entry_points.txt": installed.read_text("entry_points.txt")}
    for file in installed.files or ():
        name = file.as_posix().partition(".dist-info/")[2]
        if name.startswith("licenses/"):
            texts[name] = installed.read_text(name)
    return {name: text for name, text in texts.items() if text is not None}


def _record_line(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"
