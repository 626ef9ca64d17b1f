"""The page of the architecture tells of this tree and of the layers that import-linter checks.

Run: pytest tests/docs/test_architecture.py"""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DEPTH = 3  # hf_bones/ and two levels of folders in it


@pytest.fixture(scope="module")
def tracked():
    """Every file of the repository, as parts of its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return [Path(name).parts for name in listed.split("\0")[:-1] if (ROOT / name).is_file()]


def drawn_folders():
    """Folders of the tree on the page → what is said of each."""
    tree = re.search(r"^demo/ .*?(?=^```)", PAGE, re.MULTILINE | re.DOTALL)
    found, above = {}, []
    for line in tree[0].splitlines():
        indent, name, about = re.fullmatch(r"( *)(\w+)/ +(.+)", line).groups()
        above[len(indent) // 2 :] = [name]
        found["/".join(above)] = about
    return found


def test_the_tree_names_every_folder_and_no_other(tracked):
    top = {parts[0] for parts in tracked if len(parts) > 1 and not parts[0].startswith(".")}
    within = {"/".join(parts[:depth]) for parts in tracked if parts[0] == "hf_bones" for depth in range(2, min(DEPTH, len(parts) - 1) + 1)}
    there, drawn = top | within, set(drawn_folders())
    missing, gone = sorted(there - drawn), sorted(drawn - there)
    assert not missing, f"docs/architecture.md lacks {', '.join(missing)}"
    assert not gone, f"docs/architecture.md still has {', '.join(gone)}"


def test_the_picture_shows_the_layers_in_the_order_of_import_linter():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    picture = (ROOT / "docs" / "images" / "stages.svg").read_text(encoding="utf-8")
    assert re.findall(r'<text class="layer"[^>]*>([^<]+)</text>', picture) == layers[::-1]


def test_functions_on_the_path_of_an_image_stand_where_the_page_says():
    named = re.findall(r"\| `(?:\w+\.)?(\w+)` in `(hf_bones/[\w/]+\.py)`", PAGE)
    named += re.findall(r"`(\w+)`(?: and `\w+`)?\s+(?:in\s+|\()`(hf_bones/[\w/]+\.py)`", PAGE)
    assert len(named) >= 8
    for name, file in named:
        assert re.search(rf"^ *(?:(?:async )?def|class) {name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (
            f"{file}: {name}"
        )


def test_every_module_at_the_top_of_the_package_is_named(tracked):
    top = {parts[1] for parts in tracked if parts[0] == "hf_bones" and len(parts) == 2 and not parts[1].startswith("__")}
    sentence = PAGE[PAGE.index("Single modules at the top") :].split("\n\n")[0]
    assert set(re.findall(r"`(\w+\.py)`", sentence)) == top
