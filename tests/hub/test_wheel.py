"""The package as a wheel, and the requirements that go with it. Run: pytest tests/hub/test_wheel.py"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from repository import ROOT

import hf_bones
from hf_bones.hub import wheel as wheels
from hf_bones.hub.wheel import PackageError, pinned_requirements, write_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "hf_bones"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    new = ["git", "ls-files", "--others", "--exclude-standard", "hf_bones"]
    tracked += subprocess.run(new, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted(name for name in names if name.startswith("hf_bones/")) == sorted(tracked)
    about = f"hf_bones-{hf_bones.__version__}.dist-info"
    rest = {name.removeprefix(f"{about}/") for name in names if not name.startswith("hf_bones/")}
    assert rest == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}


def test_its_record_is_of_its_files(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    record = f"hf_bones-{hf_bones.__version__}.dist-info/RECORD"
    rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(files.read(record).decode()))}
    assert set(rows) == set(files.namelist()) and rows.pop(record) == ("", "")
    for name, (digest, size) in rows.items():
        content = files.read(name)
        assert int(size) == len(content)
        assert base64.urlsafe_b64decode(digest.removeprefix("sha256=") + "=") == hashlib.sha256(content).digest(), name


def test_pip_installs_it_without_an_index_and_it_answers_from_there(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", target, wheel], check=True)
    code = "import hf_bones, importlib.metadata as m; print(hf_bones.__file__, m.version('hf-bones'), m.distribution('hf-bones')._path)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(target)}, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    place, version, about = done.stdout.split()
    assert place.startswith(str(target)) and about.startswith(str(target)) and version == hf_bones.__version__
    assert (target / "bin" / "hf-bones").is_file()


def test_the_same_files_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert write_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_each_requirement_is_pinned_to_what_is_installed() -> None:
    pins = dict(line.split("==") for line in pinned_requirements())
    needed = [Requirement(each) for each in metadata.requires("hf-bones") or [] if "extra ==" not in each]
    assert set(pins) == {each.name for each in needed}
    for each in needed:
        assert metadata.version(each.name).partition("+")[0] == pins[each.name]
        assert each.specifier.contains(pins[each.name], prereleases=True), each


def test_metadata_name_the_requirements(wheel: Path) -> None:
    about = f"hf_bones-{hf_bones.__version__}.dist-info"
    stated = Parser().parsestr(zipfile.ZipFile(wheel).read(f"{about}/METADATA").decode())
    assert stated["Name"] == "hf-bones" and stated["Version"] == hf_bones.__version__
    assert any(line.startswith("transformers") for line in stated.get_all("Requires-Dist") or [])


def test_metadata_of_another_version_or_another_project_file_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "hf_bones"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "9.9.9"\n')
    monkeypatch.setattr(wheels, "PACKAGE", package)
    with pytest.raises(PackageError, match=r"9\.9\.9 runs, but .* is installed; install it again"):
        write_wheel(tmp_path)
    (package / "__init__.py").write_text(f'__version__ = "{hf_bones.__version__}"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=1"]\n')
    with pytest.raises(PackageError, match="states other requirements than are installed"):
        pinned_requirements()
    monkeypatch.setattr(wheels, "DISTRIBUTION", "never-installed-anywhere")
    with pytest.raises(PackageError, match="is not installed"):
        write_wheel(tmp_path)
