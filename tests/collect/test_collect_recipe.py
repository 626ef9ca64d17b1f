"""python -m pytest tests/collect/test_collect_recipe.py"""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.folder import Folder, FolderOptions
from hf_bones.collect.providers.registry import make_provider, provider_class, provider_names, provider_options
from hf_bones.collect.providers.searxng import SearxngOptions
from hf_bones.collect.recipe import (
    FetchSettings,
    LicenceSettings,
    SearchQuery,
    collect_recipe_from_dict,
    collect_recipe_names,
    expand_queries,
    load_collect_recipe,
)
from hf_bones.config.recipe import RecipeError
from hf_bones.labels import THREE_CLASS

BONES = ["hand", "wrist", "forearm", "elbow", "humerus", "shoulder", "hip", "femur", "knee", "tibia", "ankle", "foot"]


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def queries(*specs: dict[str, Any], **top: Any) -> list[SearchQuery]:
    return expand_queries(collect_recipe_from_dict({"queries": list(specs), **top}))


# The shipped recipe


def test_bones_is_shipped() -> None:
    assert "bones" in collect_recipe_names()
    assert load_collect_recipe("bones").name == "bones"


def test_bones_covers_every_label_with_every_bone_and_every_subtype() -> None:
    recipe = load_collect_recipe("bones")
    assert recipe.bones == BONES
    asked = expand_queries(recipe)
    for label in THREE_CLASS.names:
        assert {query.region for query in asked if query.label == label} >= set(BONES)
    for label_class in THREE_CLASS.classes:
        assert {query.subtype for query in asked if query.label == label_class.name} >= set(label_class.subtypes)


def test_the_queries_of_bones_fit_into_a_day_of_openverse_without_a_key() -> None:
    recipe = load_collect_recipe("bones")
    asked = expand_queries(recipe)
    pages = -(-recipe.limit // 20)
    print(f"{len(asked)} queries, {len(asked) * pages} requests")
    assert len(asked) < 120
    assert len(asked) * pages <= 190


def test_every_query_of_bones_says_that_it_wants_a_radiograph_and_names_its_region() -> None:
    for query in expand_queries(load_collect_recipe("bones")):
        assert query.text.endswith(("x-ray", "radiograph"))
        assert query.region in BONES


def test_bones_asks_sources_with_licences_and_leaves_the_open_web_off() -> None:
    recipe = load_collect_recipe("bones")
    enabled = {choice.name: choice.enabled for choice in recipe.providers}
    assert enabled == {"openverse": True, "commons": True, "openi": True, "europepmc": True, "searxng": False, "web": False}
    assert recipe.licences.unknown == "skip"
    assert set(recipe.licences.accept) == set(LicenceSettings().accept)


def test_what_bones_spells_out_is_what_holds_without_it() -> None:
    assert load_collect_recipe("bones").fetch == FetchSettings()


# Expanding queries


def test_a_term_with_a_bone_becomes_a_query_for_each_bone() -> None:
    asked = queries({"label": "normal", "terms": ["{bone}  x-ray", "bone x-ray"]}, bones=["hand", "foot"])
    assert asked == [
        SearchQuery("hand x-ray", "healthy", "", "hand"),
        SearchQuery("foot x-ray", "healthy", "", "foot"),
        SearchQuery("bone x-ray", "healthy", "", ""),
    ]


def test_a_region_takes_the_place_of_the_bones() -> None:
    asked = queries({"label": "fractured", "region": "hip", "terms": ["{bone} fracture", "femoral neck fracture"]}, bones=["hand", "foot"])
    assert [(query.text, query.region) for query in asked] == [("hip fracture", "hip"), ("femoral neck fracture", "hip")]


def test_a_text_is_asked_once_and_the_first_query_keeps_it() -> None:
    asked = queries(
        {"label": "fractured", "subtype": "spiral", "terms": ["Spiral fracture"]},
        {"label": "fractured", "terms": ["spiral  fracture", "break"]},
    )
    assert asked == [SearchQuery("Spiral fracture", "fractured", "spiral"), SearchQuery("break", "fractured")]


def test_a_text_under_two_labels_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"queries\[1\]: 'Femur' stands under 'healthy' and 'fractured'"):
        queries({"label": "healthy", "terms": ["femur"]}, {"label": "fractured", "terms": ["Femur"]})


def test_a_subtype_given_as_label_is_both() -> None:
    assert queries({"label": "non-union", "terms": ["x"]}) == [SearchQuery("x", "beyond_repair", "non union")]
    assert queries({"label": "beyond repair", "subtype": "Bone loss", "terms": ["x"]}) == [SearchQuery("x", "beyond_repair", "bone loss")]


def test_bones_are_needed_where_a_term_asks_for_them() -> None:
    with pytest.raises(RecipeError, match=r"queries\[0\].*no bones"):
        queries({"label": "healthy", "terms": ["{bone} x-ray"]})


# Reading a recipe


def test_a_small_recipe_is_read_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        name: mine
        contact: me@clinic.example
        limit: 10
        fetch: {delay: 0, max_bytes: 1000}
        licences: {accept: [CC0-1.0], unknown: fetch}
        providers:
          searxng: {endpoint: "http://localhost:8080", limit: 5}
          folder: {path: films, enabled: false}
          urls: {path: links.csv, limit: 3}
        queries:
          - {label: healthy, terms: [normal knee x-ray]}
        """,
    )
    recipe = load_collect_recipe(path)
    assert (recipe.name, recipe.contact, recipe.limit) == ("mine", "me@clinic.example", 10)
    assert (recipe.fetch.delay, recipe.fetch.max_bytes, recipe.fetch.attempts) == (0.0, 1000, FetchSettings().attempts)
    assert recipe.licences == LicenceSettings(["CC0-1.0"], "fetch")
    searxng, folder, urls = recipe.providers
    assert (searxng.enabled, folder.enabled) == (True, False)
    assert searxng.options == SearxngOptions(endpoint="http://localhost:8080")
    assert folder.options == FolderOptions(path="films")
    assert [recipe.limit_of(choice) for choice in (searxng, folder, urls)] == [5, None, 3]
    assert recipe.as_dict()["providers"][0]["options"]["endpoint"] == "http://localhost:8080"


def test_labels_can_be_of_a_scheme_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "joints.yaml").write_text(
        "classes:\n- {name: whole, definition: a}\n- {name: worn, definition: b, subtypes: [mild]}\n", encoding="utf-8"
    )
    path = write(tmp_path, "labels: joints.yaml\nqueries:\n- {label: worn, subtype: mild, terms: [knee arthritis x-ray]}\n")
    assert expand_queries(load_collect_recipe(path)) == [SearchQuery("knee arthritis x-ray", "worn", "mild")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "expected a recipe, a mapping"),
        ("querys: []", "unknown key 'querys'; did you mean 'queries'"),
        ("fetch: {delays: 1}", r"fetch: unknown key 'delays'; did you mean 'delay'"),
        ("fetch: {delay: -1}", r"fetch\.delay: expected a number in \[0, ∞\], got -1"),
        ("fetch: {delay: .nan}", r"fetch\.delay: expected a number in"),
        ("fetch: {concurrency: 0}", r"fetch\.concurrency: expected a number in \[1"),
        ("fetch: {max_bytes: many}", r"fetch\.max_bytes: expected int"),
        ("fetch: fast", "fetch: expected a mapping"),
        ("limit: 0", r"limit: expected a number in \[1, ∞\)"),
        ("licences: {unknown: maybe}", r"licences\.unknown: expected skip or fetch, got 'maybe'"),
        ("licences: {accept: CC0-1.0}", r"licences\.accept: expected a list of words"),
        ("providers: {folders: {}}", "providers: unknown provider 'folders'; did you mean 'folder'"),
        ("providers: {folder: {paht: x}}", "providers: folder: unknown key 'paht'; did you mean 'path'"),
        ("providers: {folder: [x]}", "folder: expected a mapping of options"),
        ("providers: {folder: {enabled: 'false'}}", r"folder\.enabled: expected true or false, got 'false'"),
        ("providers: {folder: {limit: -3}}", r"folder\.limit: expected a number in"),
        ("providers: {searxng: {endpoint: 'http://a.example'}}", "queries: searxng is enabled, but there are no queries"),
        ("bones: hand", "bones: expected a list of words"),
        ("labels: four-class", "labels: label scheme 'four-class' is neither"),
        ("queries: {label: healthy}", "queries: expected a list"),
        ("queries: [healthy]", r"queries\[0\]: expected a mapping"),
        ("queries: [{label: healthy, term: [x]}]", r"queries\[0\]: unknown key 'term'; did you mean 'terms'"),
        ("queries: [{label: healthy}]", r"queries\[0\]: needs 'terms'"),
        ("queries: [{label: healthy, terms: []}, {label: helthy, terms: [x]}]", r"queries\[1\]\.label: 'helthy'.*did you mean 'healthy'"),
        ("queries: [{label: positive, terms: [x]}]", r"queries\[0\]\.label: 'positive'.*in MURA it means any abnormality"),
        ("queries: [{label: fractured, subtype: spirall, terms: [x]}]", r"subtype: 'spirall' is not a subtype.*did you mean 'spiral'"),
        ("queries: [{label: healthy, subtype: spiral, terms: [x]}]", r"'spiral' is not a subtype of 'healthy': it has none"),
        ("queries: [{label: healthy, terms: ['{bones} x-ray']}]", r"terms: \{bones\} in .* is not known; did you mean '\{bone\}'"),
        ("queries: [{label: healthy, terms: ['{bone x-ray']}]", "is not known"),
        ("queries: [{label: healthy, terms: ['']}]", r"terms: expected a list of words"),
        ("queries: [", "not valid YAML"),
    ],
)
def test_a_mistake_is_an_error_that_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=rf"mine\.yaml: .*{message}"):
        load_collect_recipe(write(tmp_path, text))


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match=r"neither a file nor one of: .*did you mean 'bones'"):
        load_collect_recipe("bone")


def test_a_recipe_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_collect_recipe(tmp_path / "mine.yaml")


# The providers by name


def test_every_provider_keeps_to_the_protocol_and_explains_its_options() -> None:
    for name in provider_names():
        kind = provider_class(name)
        assert kind.name == name
        assert kind.label_basis in {"query", "folder", "table", "dataset"}
        assert kind.takes_queries == (kind.label_basis == "query")
        for field in dataclasses.fields(kind.options_type):
            assert field.metadata["help"].strip(), f"{name}.{field.name}"


def test_a_provider_is_made_from_plain_data_or_from_its_options(tmp_path: Path) -> None:
    (tmp_path / "healthy").mkdir()
    (tmp_path / "healthy" / "1.png").write_bytes(b"x")
    for options in ({"path": str(tmp_path)}, provider_options("folder", {"path": str(tmp_path)})):
        provider = make_provider("folder", options, None)
        assert isinstance(provider, Folder)
        assert len(list(provider.search("", None))) == 1


def test_an_unknown_provider_or_option_gets_a_hint() -> None:
    with pytest.raises(RecipeError, match="unknown provider 'opnverse'; did you mean 'openverse'"):
        make_provider("opnverse", {}, None)
    with pytest.raises(RecipeError, match="hub: unknown key 'datset'; did you mean 'dataset'"):
        make_provider("hub", {"datset": "x"}, None)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ProviderError, match=r"pip install 'hf-bones\[web\]'"):
        make_provider("web", {}, None)


def test_reading_a_recipe_imports_neither_datasets_nor_ddgs_nor_torch() -> None:
    code = (
        "import sys\nfrom hf_bones.collect.recipe import load_collect_recipe\n"
        "from hf_bones.collect.providers.registry import provider_class, provider_names\nload_collect_recipe('bones')\n"
        "for name in provider_names(): provider_class(name)\n"
        "print([name for name in ('datasets', 'ddgs', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
