"""Recipes of collections: one YAML file says whom to ask, for what, how politely, and which licences will do.

A term with "{bone}" in it becomes one query for each entry of `bones` (or, where its query names a `region`, one for that region), with
the bone as the query's region. Not here: the providers' own options, which stand beside each of them (`providers/`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bones.collect.providers.registry import provider_class, provider_options
from hf_bones.config.recipe import RecipeError, dataclass_from_dict, nearest, option, read_recipe, recipe_names
from hf_bones.labels import LabelScheme, load_scheme, normalise_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BONE = "{bone}"

# Dedications to the public domain, CC BY and CC BY-SA of any version. "LicenseRef-…" is what sources give without saying which version.
_FREE_LICENCES = (
    "CC0-1.0", "CC-PDDC", "CC-PDM-1.0", "LicenseRef-Public-Domain", "CC-BY-[0-9]*", "CC-BY-SA-[0-9]*", "LicenseRef-CC-BY",
    "LicenseRef-CC-BY-SA",
)  # fmt: skip


@dataclass
class FetchSettings:
    """How files are downloaded: how politely, how patiently, and how much of what."""

    concurrency: int = option(32, "Downloads at a time, over all hosts.")
    per_host: int = option(2, "Downloads at a time from one host.")
    delay: float = option(0.5, "Seconds between the starts of two requests to one host; its robots.txt may ask for more.")
    connect_timeout: float = option(15.0, "Seconds until a connection must stand.")
    file_timeout: float = option(90.0, "Seconds for one file, from the first attempt to its last byte.")
    max_bytes: int = option(64 * 2**20, "Largest file, bytes.")
    max_pixels: int = option(64_000_000, "Largest image, width × height.")
    max_redirects: int = option(5, "Redirects that are followed for one file.")
    attempts: int = option(4, "How often a file is tried that fails for a passing reason (429, 5xx, a reset).")
    first_wait: float = option(1.0, "Seconds before the second attempt; doubled for each further one.")
    longest_wait: float = option(300.0, "Longest Retry-After that is waited for, s; a host that asks for more is left for a later run.")
    refused_file_bytes: int = option(16 * 2**20, "Largest refused file whose bytes are kept under refused/, for salvage.")
    refused_total_bytes: int = option(2**30, "Room for all refused files, bytes.")
    min_free_bytes: int = option(256 * 2**20, "The run stops before the disk has less room than this, bytes.")
    workers: int = option(0, "Processes that decode images; 0: one fewer than there are cores, at least one.")


@dataclass
class LicenceSettings:
    """Which licences a file may have for being fetched."""

    accept: list[str] = field(
        default_factory=lambda: list(_FREE_LICENCES),
        metadata={"help": "SPDX identifiers, or patterns of them (`CC-BY-*` takes in NC and ND, `CC-BY-[0-9]*` does not)."},
    )
    unknown: str = option("skip", "What to do where the source names no licence: `skip`, or `fetch` (at your own risk).")


@dataclass(frozen=True)
class ProviderChoice:
    """A provider in a recipe; `options` is its `options_type`. `limit` caps the candidates of each of its queries, None: the recipe's."""

    name: str
    enabled: bool
    limit: int | None
    options: DataclassInstance


@dataclass(frozen=True)
class QuerySpec:
    """Search terms, as the recipe has them, and what their finds show."""

    label: str
    subtype: str
    region: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """One search as it is asked, and the label, subtype and region that its finds get; "" where the recipe says nothing."""

    text: str
    label: str
    subtype: str = ""
    region: str = ""


@dataclass
class CollectRecipe:
    """One whole collection. `limit` is candidates per query and provider; `contact` an address that sites can complain to."""

    name: str = "custom"
    description: str = ""
    contact: str = ""
    limit: int = 40
    labels: str = "three-class"
    fetch: FetchSettings = field(default_factory=FetchSettings)
    licences: LicenceSettings = field(default_factory=LicenceSettings)
    providers: list[ProviderChoice] = field(default_factory=list)
    bones: list[str] = field(default_factory=list)
    queries: list[QuerySpec] = field(default_factory=list)

    def limit_of(self, choice: ProviderChoice) -> int | None:
        """The most candidates of one search: the provider's own limit, else the recipe's; None (all) for sources that are read whole."""
        if choice.limit is not None:
            return choice.limit
        return self.limit if provider_class(choice.name).takes_queries else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for `record.json` and the manifest."""
        return dataclasses.asdict(self)


_KEYS = [f.name for f in dataclasses.fields(CollectRecipe)]
_LEAST: Mapping[str, float] = {
    "concurrency": 1, "per_host": 1, "delay": 0, "connect_timeout": 0.001, "file_timeout": 0.001, "max_bytes": 1, "max_pixels": 1,
    "max_redirects": 0, "attempts": 1, "first_wait": 0, "longest_wait": 0, "refused_file_bytes": 0, "refused_total_bytes": 0,
    "min_free_bytes": 0, "workers": 0,
}  # fmt: skip


def collect_recipe_names() -> list[str]:
    """Names of the collection recipes that ship with the package."""
    return recipe_names("collect")


def load_collect_recipe(name_or_path: str | Path) -> CollectRecipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, folder = read_recipe(name_or_path, "collect")
    return collect_recipe_from_dict(data, source, folder)


def collect_recipe_from_dict(data: object, source: str = "recipe", folder: Path | None = None) -> CollectRecipe:
    """A recipe from plain data, every value checked, queries too. A `labels` file may be named relative to `folder`.

    Raises `RecipeError` naming `source`, the key, and the nearest known word or what is wanted.
    """
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: a recipe of a collection is a mapping with some of: {', '.join(_KEYS)}")
    for key in data:
        if key not in _KEYS:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), _KEYS)}; known: {', '.join(_KEYS)}")
    recipe = CollectRecipe()
    for key in ("name", "description", "contact", "labels"):
        if data.get(key) is not None:
            setattr(recipe, key, str(data[key]).strip())
    if "limit" in data:
        recipe.limit = _positive(data["limit"], f"{source}: limit")
    recipe.fetch = dataclass_from_dict(FetchSettings, _mapping(data, "fetch", source), f"{source}: fetch")
    for key, least in _LEAST.items():
        if not getattr(recipe.fetch, key) >= least:  # NaN too
            raise RecipeError(f"{source}: fetch.{key}: must be {least:g} or more, got {getattr(recipe.fetch, key)!r}")
    recipe.licences = dataclass_from_dict(LicenceSettings, _mapping(data, "licences", source), f"{source}: licences")
    if recipe.licences.unknown not in ("skip", "fetch"):
        raise RecipeError(f"{source}: licences.unknown: expected skip or fetch, got {recipe.licences.unknown!r}")
    providers = _mapping(data, "providers", source)
    recipe.providers = [_provider_choice(str(name), given, f"{source}: providers") for name, given in providers.items()]
    recipe.bones = _words(data.get("bones") or [], f"{source}: bones")
    scheme = _scheme(recipe.labels, source, folder)
    specs = data.get("queries") or []
    if not isinstance(specs, list):
        raise RecipeError(f"{source}: queries: expected a list of mappings with label and terms, got {specs!r}")
    recipe.queries = [_query_spec(spec, f"{source}: queries[{index}]", scheme) for index, spec in enumerate(specs)]
    queries = expand_queries(recipe, source)
    asked = [choice.name for choice in recipe.providers if choice.enabled and provider_class(choice.name).takes_queries]
    if asked and not queries:
        raise RecipeError(f"{source}: queries: {', '.join(asked)} is enabled, but there are no queries to ask")
    return recipe


def expand_queries(recipe: CollectRecipe, source: str = "recipe") -> list[Query]:
    """Every search of a recipe, in its order, each text once: where two queries ask the same, the first stands.

    Raises `RecipeError` where one text stands under two labels, since its finds could have only one, and for "{bone}" without bones.
    """
    by_text: dict[str, Query] = {}
    for index, spec in enumerate(recipe.queries):
        where = f"{source}: queries[{index}]"
        for term in spec.terms:
            fills = [spec.region] if spec.region else recipe.bones if BONE in term else [""]
            if not fills:
                raise RecipeError(f"{where}: {term!r} has {BONE}, but the recipe has no bones: add `bones: [hand, …]` or a region")
            for bone in fills:
                query = Query(" ".join(term.replace(BONE, bone).split()), spec.label, spec.subtype, bone)
                first = by_text.setdefault(query.text.casefold(), query)
                if first.label != query.label:
                    raise RecipeError(f"{where}: {query.text!r} stands under {first.label!r} and {query.label!r}; keep one of them")
    return list(by_text.values())


def _mapping(data: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RecipeError(f"{source}: {key}: expected a mapping, got {value!r}")
    return value


def _positive(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RecipeError(f"{where}: expected a whole number of 1 or more, got {value!r}")
    return value


def _words(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise RecipeError(f"{where}: expected a list of words, got {value!r}")
    return [word.strip() for word in value]


def _provider_choice(name: str, given: object, source: str) -> ProviderChoice:
    if given is not None and not isinstance(given, Mapping):
        raise RecipeError(f"{source}: {name}: expected a mapping of options (or nothing), got {given!r}")
    options = dict(given or {})
    enabled = options.pop("enabled", True)
    if not isinstance(enabled, bool):
        raise RecipeError(f"{source}: {name}.enabled: expected true or false, got {enabled!r}")
    limit = options.pop("limit", None)
    limit = None if limit is None else _positive(limit, f"{source}: {name}.limit")
    return ProviderChoice(name, enabled, limit, provider_options(name, options, source))


def _scheme(name_or_path: str, source: str, folder: Path | None) -> LabelScheme:
    beside = folder / name_or_path if folder is not None else None
    try:
        return load_scheme(beside if beside is not None and beside.is_file() else name_or_path)
    except ValueError as error:
        raise RecipeError(f"{source}: labels: {error}") from error


def _query_spec(data: object, where: str, scheme: LabelScheme) -> QuerySpec:
    known = ["label", "subtype", "region", "terms"]
    if not isinstance(data, Mapping):
        raise RecipeError(f"{where}: expected a mapping with label and terms, got {data!r}")
    for key in data:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}{nearest(str(key), known)}; known: {', '.join(known)}")
    if "label" not in data or "terms" not in data:
        raise RecipeError(f"{where}: needs both 'label' and 'terms'")
    label, subtype = _label_and_subtype(str(data["label"]), str(data.get("subtype") or ""), where, scheme)
    terms = _words(data["terms"], f"{where}.terms")
    for term in terms:
        for placeholder in re.findall(r"\{[^}]*\}?", term):
            if placeholder != BONE:
                raise RecipeError(f"{where}.terms: {placeholder} in {term!r} is not known{nearest(placeholder, [BONE])}; only {BONE} is")
    return QuerySpec(label, subtype, str(data.get("region") or "").strip(), tuple(terms))


def _label_and_subtype(label: str, subtype: str, where: str, scheme: LabelScheme) -> tuple[str, str]:
    """The class and subtype that a query's words stand for in the scheme."""
    owner = {normalise_name(w): c.name for c in scheme.classes for w in (c.name, *c.subtypes, *c.aliases)}
    word = normalise_name(label)
    if word not in owner:
        refused = f" ({scheme.refused[word]})" if word in scheme.refused else nearest(word, owner)
        raise RecipeError(f"{where}.label: {label!r} is no label of scheme {scheme.name!r}: {', '.join(scheme.names)}{refused}")
    found = scheme.subtype(subtype or label)
    if subtype and (found is None or owner[normalise_name(found)] != owner[word]):
        subtypes = next(c.subtypes for c in scheme.classes if c.name == owner[word])
        hint = nearest(subtype, subtypes)
        raise RecipeError(f"{where}.subtype: {subtype!r} is no subtype of {owner[word]!r}: {', '.join(subtypes) or 'it has none'}{hint}")
    return owner[word], found or ""
