"""The two ways in for programs that docs/demo.md shows are run as they stand there. Run: pytest tests/app/demo/test_ways_of_programs.py"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from repository import ROOT

from hf_bones.app.demo.page import build_demo
from hf_bones.app.serving import serve, serving
from hf_bones.dataset.drawn.radiograph import draw_radiograph

SECTION = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8").partition("\n## From a program\n")[2].partition("\n### ")[0]
BLOCKS = dict(re.findall(r"^```(python|sh)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL))
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def address(checkpoint: Path) -> Iterator[str]:
    with serving():
        demo = build_demo(checkpoint)
        yield serve(demo, wait=False).rstrip("/")
        demo.close()


@pytest.mark.parametrize("language, command", [("python", [sys.executable, "-c"]), ("sh", ["bash", "-euc"])], ids=["gradio_client", "curl"])
def test_the_example_of_the_page_gets_a_finding(address: str, tmp_path: Path, language: str, command: list[str]) -> None:
    (tmp_path / "new_films").mkdir()
    Image.fromarray(draw_radiograph(3, size=96).pixels).save(tmp_path / "new_films" / "wrist.png")
    assert ADDRESS in BLOCKS[language]
    block = BLOCKS[language].replace(ADDRESS, address)
    done = subprocess.run([*command, block], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if language == "sh":
        event, data = re.findall(r"^(?:event|data): (.*)$", done.stdout, re.MULTILINE)[-2:]
        finding = json.loads(data)[0]
        assert event == "complete" and finding["source"] == "wrist.png" and finding["checkpoint"] == "my-model"
        assert set(finding["probabilities"]) == {"healthy", "fractured", "beyond_repair"}
    else:
        assert re.search(r"^(healthy|fractured|beyond_repair|refer) \{'healthy': 0\.\d+", done.stdout, re.MULTILINE)
