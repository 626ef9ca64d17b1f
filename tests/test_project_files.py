"""The files by which others carry on agree with each other and with the code: `python -m pytest tests/test_project_files.py`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import ROOT

import hf_bones

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
YAML_FILES = [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
TEXTS = [*WORKFLOWS, *(ROOT / name for name in ("CONTRIBUTING.md", ".pre-commit-config.yaml", ".github/pull_request_template.md"))]


def parsed(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_the_yaml_can_be_read(path: Path) -> None:
    assert isinstance(parsed(path), dict)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_target_script_and_file_that_is_named_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|run: )make ([a-z]+)", text, re.MULTILINE)) <= targets
    scripts = re.findall(r"\bpython (scripts/\S+?\.py)", text)
    places = re.findall(r"`((?:scripts|tests|hf_bones|docs|\.github)/[^`*]*)`", text)
    assert [name for name in [*scripts, *places] if not (ROOT / name).exists()] == []
    assert [name for name in re.findall(r"\]\(([\w./-]+)\)", text) if not (path.parent / name).exists()] == []


def test_workflows_ask_for_no_more_than_they_need_and_pin_their_actions() -> None:
    assert {path.stem for path in WORKFLOWS} == {"tests", "docs", "release"}
    rights = {}
    for path in WORKFLOWS:
        workflow = parsed(path)
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert job["timeout-minutes"] <= 60
            rights[f"{path.stem}.{name}"] = job.get("permissions", {})
            for step in job["steps"]:
                assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v1)", step["uses"]), step
    assert {name: right for name, right in rights.items() if right} == {
        "docs.publish": {"pages": "write", "id-token": "write"},
        "release.publish": {"id-token": "write"},
    }
    assert parsed(ROOT / ".github/workflows/release.yml")["jobs"]["publish"]["environment"]["name"] == "pypi"


def test_the_tests_run_with_every_python_that_the_package_names() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    named = [each.rpartition(" :: ")[2] for each in classifiers if re.search(r"Python :: \d\.\d+$", each)]
    assert parsed(ROOT / ".github/workflows/tests.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"] and project["tool"]["hatch"]["version"]["path"] == "hf_bones/__init__.py"
    released = re.findall(r"^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    citation = parsed(ROOT / "CITATION.cff")
    assert released[0] == (hf_bones.__version__, str(citation["date-released"])) == (citation["version"], str(citation["date-released"]))
    assert [version for version, _ in released][-1] == "0.1.0" and released == sorted(released, key=lambda each: each[1], reverse=True)


def test_the_changelog_has_the_headings_that_it_should() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", text, re.MULTILINE)[0] == "[Unreleased]"
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_forms_that_may_bring_films_warn_of_patients() -> None:
    for name in ("bug_report.yml", "wrong_film.yml"):
        first = parsed(ROOT / ".github" / "ISSUE_TEMPLATE" / name)["body"][0]
        assert "Never attach a film of a patient" in first["attributes"]["value"]


def test_pictures_of_pages_are_no_older_than_the_pages() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs" / "screenshots.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_style_makes_a_picture_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "docs"))
    import screenshots

    (tmp_path / "page").mkdir()
    style = tmp_path / "page" / "page.css"
    style.write_text("a { color: red }")
    monkeypatch.setattr(screenshots, "ROOT", tmp_path)
    picture = screenshots.Picture(("page/*.css",), screenshots.demo, screenshots.classify_an_example)
    before = picture.hash()
    assert before == picture.hash()
    style.write_text("a { color: blue }")
    assert picture.hash() != before
    style.unlink()
    with pytest.raises(FileNotFoundError, match=r"page/\*\.css"):
        picture.hash()
