"""`hf-bones collect` as a user types it: `python -m pytest tests/collect/test_collect_cli.py`."""

import json
import re

import pytest
import yaml
from small_collection import jpeg
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.manifest.store import open_manifest


def collect(*arguments):
    return CliRunner().invoke(app, ["collect", *map(str, arguments)])


@pytest.fixture
def recipe(tmp_path, rogue):
    """A recipe of two links, one of them without a licence, and a folder."""
    lines = ["url,label,licence", f"{rogue.page('/a.jpg', jpeg(1))},fractured,CC-BY-4.0", f"{rogue.page('/b.jpg', jpeg(2))},healthy,"]
    (tmp_path / "links.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "films/healthy").mkdir(parents=True)
    (tmp_path / "films/healthy/c.jpg").write_bytes(jpeg(3))
    content = {
        "name": "mine",
        "contact": "me@example.org",
        "fetch": {"delay": 0, "first_wait": 0.01, "min_free_bytes": 0, "workers": 1},
        "providers": {
            "urls": {"path": str(tmp_path / "links.csv")},
            "folder": {"path": str(tmp_path / "films"), "licence": "CC0-1.0"},
        },
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_recipe_fills_a_collection_and_given_again_does_nothing(recipe, rogue, tmp_path):
    done = collect("--recipe", recipe, "--out", tmp_path / "c", "--allow-private", "127.0.0.1")
    assert done.exit_code == 0, done.output
    assert "this run: 2 stored, 0 seen before, 0 refused, 0 failed" in done.output
    assert "collection: 1 refused, 2 stored" in done.output
    with open_manifest(tmp_path / "c") as manifest:
        assert {(record.provider, record.label, record.licence) for record in manifest.images()} == {
            ("urls", "fractured", "CC-BY-4.0"),
            ("folder", "healthy", "CC0-1.0"),
        }
        assert json.loads(manifest.fact("recipe"))["name"] == "mine"
    asked = len(rogue.hits)
    again = collect("--recipe", recipe, "--out", tmp_path / "c", "--allow-private", "127.0.0.1")
    assert "this run: 0 stored" in again.output and len(rogue.hits) == asked


def test_policy_on_unknown_licences_can_be_set_for_a_run(recipe, tmp_path):
    done = collect("--recipe", recipe, "--out", tmp_path / "c", "--allow-private", "127.0.0.1", "--unknown-licence", "fetch")
    assert "collection: 3 stored" in done.output, done.output


def test_a_dry_run_lists_candidates_and_licences_and_touches_nothing(recipe, rogue, tmp_path):
    done = collect("--recipe", recipe, "--out", tmp_path / "c", "--dry-run")
    assert done.exit_code == 0 and f"{rogue.url}/a.jpg" in done.output
    assert re.search(r"urls\s+fractured\s+CC-BY-4\.0\s+1$", done.output, re.M)
    assert re.search(r"urls\s+healthy\s+unknown\s+1  not fetched: licence$", done.output, re.M)
    assert not rogue.hits and not (tmp_path / "c").exists()


def test_private_addresses_need_the_flag_and_are_asked_again_with_it(recipe, rogue, tmp_path):
    first = collect("--recipe", recipe, "--out", tmp_path / "c")
    assert "1 stored, 0 seen before, 1 refused" in first.output and not rogue.hits
    second = collect("--recipe", recipe, "--out", tmp_path / "c", "--allow-private", "127.0.0.1", "--retry-failed")
    assert "this run: 1 stored" in second.output, second.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recipe", "boness"], "did you mean 'bones'"),
        (["--recipe", "bones"], "nobody could reach you"),
        (["--recipe", "bones", "--contact", "a\nb"], "line ends"),
        (["--recipe", "{mine}", "--provider", "openvers"], "did you mean 'openverse'"),
        (["--recipe", "{mine}", "--provider", "openverse"], "does not list it"),
        (["--recipe", "{mine}", "--unknown-licence", "maybe"], "skip or fetch"),
        (["--recipe", "{mine}", "--allow-private", "http://127.0.0.1"], "not a URL"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(recipe, tmp_path, monkeypatch, arguments, says):
    monkeypatch.delenv("HF_BONES_CONTACT", raising=False)
    done = collect(*(str(word).format(mine=recipe) for word in arguments), "--out", tmp_path / "c")
    assert done.exit_code == 2 and says in done.output, done.output
    assert not (tmp_path / "c").exists()


def test_a_search_that_fails_is_named_and_ends_with_1(tmp_path, rogue, monkeypatch):
    rogue.answer("/search", lambda reply: reply.send(status=403))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"contact: me@example.org\nproviders: {{searxng: {{endpoint: '{rogue.url}'}}}}\n"
        "queries: [{label: healthy, terms: [normal wrist]}]\n"
        "fetch: {attempts: 1, min_free_bytes: 0}\n"
    )
    done = collect("--recipe", recipe, "--out", tmp_path / "c", "--allow-private", "127.0.0.1")
    assert done.exit_code == 1 and "search failed, tried again next time: searxng 'normal wrist'" in done.output, done.output
