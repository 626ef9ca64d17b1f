"""Every command of README.md and docs/ that takes seconds is run, in order, on drawn films; patches of the how-to pages fit this tree.

The heavy ones: python scripts/docs/commands.py --heavy. Run: pytest tests/docs/test_commands.py"""

import ast
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts" / "docs"))

from blocks import blocks_of, pages, patches_of  # noqa: E402
from commands import BlockError, lines_of, run_page  # noqa: E402
from working_folder import apply_patch  # noqa: E402

PAGES = pages()
BLOCKS = {page: blocks_of(page) for page in PAGES}
RUN_HERE = [page for page in PAGES if not patches_of(page) and any(block.is_run and not block.is_heavy for block in BLOCKS[page])]
PATCHED = [page for page in PAGES if patches_of(page)]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_the_commands_of_a_page_work_in_their_order(page, tmp_path):
    done = [block for block, _ in run_page(page, tmp_path / "work", heavy=False)]
    assert done == [block for block in BLOCKS[page] if block.is_run]


@pytest.mark.parametrize("page", PATCHED, ids=name_of)
def test_the_patches_of_a_how_to_page_fit_this_tree(page, tmp_path):
    touched = {line[6:] for block in BLOCKS[page] for line in block.text.splitlines() if line.startswith(("--- a/", "+++ b/"))}
    for name in touched:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copyfile(ROOT / name, tmp_path / name)
    for block in patches_of(page):
        assert apply_patch(tmp_path, block) == "", f"{block.place}: the tree has moved on; mend the context lines of this patch"
    for name in touched:
        if name.endswith(".py"):
            ast.parse((tmp_path / name).read_text(encoding="utf-8"), name)


@pytest.mark.parametrize(
    "text, said",
    [("<!-- not run: no time -->\n```sh\nls\n```\n", "'no time'"), ("```bash\nls\n```\n", "a block of bash")],
    ids=["a reason that is none", "a language that would be passed over"],
)
def test_a_block_that_would_be_passed_over_without_a_reason_is_refused(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr("blocks.ROOT", tmp_path)
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        blocks_of(tmp_path / "page.md")


def test_what_is_run_is_not_little_and_commands_on_a_patched_tree_are_heavy():
    here = [line for page in RUN_HERE for block in BLOCKS[page] if block.is_run and not block.is_heavy for line in lines_of(block.text)]
    assert len(here) >= 30
    with_patches = [block for page in PATCHED for block in BLOCKS[page] if block.language == "sh"]
    assert all(block.is_heavy or block.reason for block in with_patches), "a command on a patched tree is heavy: it runs in a copy"


def test_a_page_with_a_wrong_command_fails(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```sh\nhf-bones build films --out data/mine --overwite\n```\n", encoding="utf-8")
    monkeypatch.setattr("blocks.ROOT", tmp_path)
    with pytest.raises(BlockError, match=r"page.md:3: `hf-bones build films --out data/mine --overwite` ended with 2"):
        list(run_page(page, tmp_path / "work", heavy=False))
