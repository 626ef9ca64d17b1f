"""The notebooks run from top to bottom and lie in the repository without outputs: `python -m pytest tests/test_notebooks.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from repository import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def strip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "strip_notebooks.py", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    done = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3, "films, confusion matrix, heat map"
    assert (tmp_path / "own-films" / "mine" / "model.safetensors").is_file()
    assert (tmp_path / "own-films" / "report" / "report.md").is_file()


def test_notebooks_are_stored_without_outputs() -> None:
    assert NOTEBOOKS
    done = strip("--check")
    assert done.returncode == 0, done.stderr


def test_outputs_are_named_and_taken_out(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    before = json.loads(json.dumps(notebook))
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    code |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "a patient's name"}], "execution_count": 3}
    notebook["metadata"]["widgets"] = {}
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    told = strip("--check", path)
    assert told.returncode == 1 and "run.ipynb" in told.stderr and "patient" in path.read_text(encoding="utf-8")
    assert strip(path).returncode == 1 and json.loads(path.read_text(encoding="utf-8")) == before
    assert strip(path).returncode == 0
