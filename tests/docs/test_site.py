"""The site is whole: it builds strictly, its links lead somewhere, and its written pages are those that the code gives.

Run: pytest tests/docs/test_site.py"""

import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hf_bones
from hf_bones.config.recipe import recipe_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class Page(HTMLParser):
    """Links and ids of a built page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.loaded = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script", "link"):
            self.loaded.append((tag, given.get("rel", ""), given.get("src") or given.get("href") or ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, folder / "docs")
    config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    (folder / "zensical.toml").write_text(config.replace('paths = ["."]', f'paths = ["{ROOT}"]'), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {str(path.relative_to(folder / "site")): Page(path) for path in (folder / "site").rglob("*.html")}


def test_every_page_stands_in_the_navigation_once():
    def pages(items):
        for item in items:
            for value in item.values():
                yield from pages(value) if isinstance(value, list) else [value]

    listed = list(pages(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]))
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    assert len(listed) >= 15


def test_links_and_pictures_of_the_site_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    for name, page in site.items():
        if name == "404.html":
            continue
        folder = Path(name).parent
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            path = str((ROOT / folder / target).resolve().relative_to(ROOT.resolve())) if target else name
            assert path in site or path == ".", f"{name}: {link}"
            assert not anchor or path == "." or anchor in site[path].ids, f"{name}: {link}"
        outside = [one for one in page.loaded if re.match(r"(https?:)?//", one[2]) and one[1] not in ("canonical", "prev", "next")]
        assert not outside, f"{name}: {outside}"


def test_every_promised_name_has_its_signature_and_its_docstring_on_the_site(site):
    ids = site["reference/python.html"].ids
    assert {f"hf_bones.{name}" for name in hf_bones.__all__ if name != "__version__"} <= ids


@pytest.mark.parametrize("script", ["figures.py", "reference.py"])
def test_written_pages_are_those_that_their_script_writes(script):
    done = subprocess.run([sys.executable, f"scripts/docs/{script}", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run python scripts/docs/{script}\n{done.stdout}{done.stderr}"


def test_every_shipped_recipe_is_on_the_page_of_recipes():
    rows = re.findall(r"^\| `([\w.-]+)`", (DOCS / "recipes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(recipe_names()) <= set(rows)


def test_the_readme_is_short_and_links_every_page_of_the_guide():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text) <= 14_000
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (ROOT / link).exists(), link
    missing = [path.name for path in DOCS.glob("*.md") if f"(docs/{path.name}" not in text]
    assert not missing, f"not on README's map: {missing}"
