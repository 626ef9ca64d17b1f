"""The example of each public function runs, in the order of the work, on drawn films: `python -m pytest tests/api/test_examples.py`."""

from __future__ import annotations

from pathlib import Path

from drawn_films import write_drawn_films
from hub_server import HubServer

RUN_EXAMPLES = """
import doctest, os, sys
import hf_bones

os.chdir(sys.argv[1])
parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
for name in ("build", "curate", "train", "evaluate", "predict", "push"):
    example = parser.get_doctest(getattr(hf_bones, name).__doc__, {}, name, None, None)
    assert len(example.examples) >= 3, f"{name}: no example"
    runner.run(example)
sys.exit(f"{runner.failures} of {runner.tries} lines failed" if runner.failures else None)
"""


def test_the_examples_of_the_functions_run_one_after_the_other(hub: HubServer, tmp_path: Path) -> None:
    write_drawn_films(tmp_path / "films", each=12)
    newer = write_drawn_films(tmp_path / "new_films", each=1)
    newer[0].rename(tmp_path / "wrist.png")
    hub.run_python(RUN_EXAMPLES, tmp_path / "home", str(tmp_path))
    files = hub.files("ada/my-bones", "main")
    assert {"model.safetensors", "config.json", "decision.json", "record.json", "README.md", "metrics.json"} <= set(files)
    assert "from hf_bones import BonePredictor" in files["README.md"].decode()
