"""Recipes of collections: one YAML file says whom to ask, for what, how politely, and which licences will do.

A term with "{bone}" in it becomes one query for each entry of `bones` (or, where its query names a `region`, one for that region), with
the bone as the query's region. Not here: the providers' own options, which stand beside each of them (`providers/`).
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_bones.collect.providers.registry import provider_class, provider_options
from hf_bones.config.fields import Checked, Reader, RecipeError, checked_mapping, dataclass_from_dict, nearest, option, text_of
from hf_bones.config.loading import read_recipe, recipe_names
from hf_bones.labels import LabelScheme, load_scheme

BONE = "{bone}"

# Dedications to the public domain, CC BY and CC BY-SA of any version. "LicenseRef-…" is what sources give without saying which version.
_FREE_LICENCES = [
    "CC0-1.0", "CC-PDDC", "CC-PDM-1.0", "LicenseRef-Public-Domain", "CC-BY-[0-9]*", "CC-BY-SA-[0-9]*", "LicenseRef-CC-BY",
    "LicenseRef-CC-BY-SA",
]  # fmt: skip


@dataclass
class FetchSettings(Checked):
    """How files are downloaded: how politely, how patiently, and how much of what."""

    concurrency: int = option(32, "Downloads at a time, over all hosts.", within="[1, ∞)")
    per_host: int = option(2, "Downloads at a time from one host.", within="[1, ∞)")
    delay: float = option(0.5, "Seconds between the starts of two requests to one host; its robots.txt may ask for more.", within="[0, ∞]")
    connect_timeout: float = option(15.0, "Seconds to wait for a connection.", within="[0.001, ∞]")
    file_timeout: float = option(90.0, "Seconds for one file, from the first attempt to its last byte.", within="[0.001, ∞]")
    max_bytes: int = option(64 * 2**20, "Largest file, bytes.", within="[1, ∞)")
    max_pixels: int = option(64_000_000, "Largest image, width × height.", within="[1, ∞)")
    max_redirects: int = option(5, "Redirects that are followed for one file.", within="[0, ∞)")
    attempts: int = option(4, "How often a file is tried that fails for a temporary reason (429, 5xx, a reset).", within="[1, ∞)")
    first_wait: float = option(1.0, "Seconds before the second attempt; doubled for each further one.", within="[0, ∞]")
    longest_wait: float = option(
        300.0, "Longest Retry-After that is waited for, s; a host that asks for more is left for a later run.", within="[0, ∞]"
    )
    refused_file_bytes: int = option(16 * 2**20, "Largest refused file whose bytes are kept under refused/, for salvage.", within="[0, ∞)")
    refused_total_bytes: int = option(2**30, "Space for all refused files, bytes.", within="[0, ∞)")
    min_free_bytes: int = option(256 * 2**20, "The run stops before the disk has less free space than this, bytes.", within="[0, ∞)")
    workers: int = option(0, "Processes that decode images; 0: one less than there are cores, at least one.", within="[0, ∞)")


@dataclass
class LicenceSettings(Checked):
    """Which licences a file may have for being fetched."""

    accept: list[str] = option(
        _FREE_LICENCES, "SPDX identifiers, or patterns of them (`CC-BY-*` takes in NC and ND, `CC-BY-[0-9]*` does not)."
    )
    unknown: str = option("skip", "For what a source names no licence of; `fetch` is at your own risk.", choices=("skip", "fetch"))


@dataclass(frozen=True)
class ProviderChoice(Checked):
    """A provider in a recipe; `options` is its `options_type`. `limit` caps the candidates of each of its queries, None: the recipe's."""

    name: str
    options: Any
    enabled: bool = True
    limit: int | None = option(None, "Candidates of each of its queries.", within="[1, ∞)")


@dataclass(frozen=True)
class QuerySpec:
    """Search terms, as the recipe has them, and what their finds show."""

    label: str = field(metadata={"help": "Class that the finds get, or one of its aliases."})
    terms: tuple[str, ...] = field(metadata={"help": "What is searched for; `{bone}` stands for each of `bones`, or for `region`."})
    subtype: str = option("", "Subtype that the finds get.")
    region: str = option("", "Region that the finds get.")


@dataclass(frozen=True)
class SearchQuery:
    """One search as it is asked, and the label, subtype and region that its finds get; "" where the recipe says nothing."""

    text: str
    label: str
    subtype: str = ""
    region: str = ""


@dataclass
class CollectRecipe(Checked):
    """One whole collection. `contact` is an address that sites can complain to."""

    name: str = option("custom", "Name of the recipe, for the record.")
    description: str = option("", "What it is for, in a sentence.")
    contact: str = option("", "Your e-mail address or web page, for site owners; `--contact` and HF_BONES_CONTACT win over it.")
    limit: int = option(40, "Candidates per query and provider.", within="[1, ∞)")
    labels: str = option("three-class", "Classes of the queries: `three-class`, `two-class`, or a YAML file of your own.")
    fetch: FetchSettings = field(default_factory=FetchSettings)
    licences: LicenceSettings = field(default_factory=LicenceSettings)
    providers: list[ProviderChoice] = field(default_factory=list)
    bones: list[str] = option([], "Regions that `{bone}` in a term stands for.")
    queries: list[QuerySpec] = field(default_factory=list)

    def limit_of(self, choice: ProviderChoice) -> int | None:
        """The most candidates of one search: the provider's own limit, else the recipe's; None (all) for sources that are read whole."""
        if choice.limit is not None:
            return choice.limit
        return self.limit if provider_class(choice.name).takes_queries else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for `record.json` and the manifest."""
        return dataclasses.asdict(self)


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
    read: dict[str, Reader] = {
        **dict.fromkeys(("name", "description", "contact"), text_of),
        "labels": lambda value, where: text_of(value, where) or CollectRecipe.labels,
        "providers": _provider_choices,
        "bones": lambda value, where: _words(value or [], where),
        "queries": _query_specs,
    }
    recipe = dataclass_from_dict(CollectRecipe, data, source, ": ", read)
    scheme = _scheme(recipe.labels, source, folder)
    recipe.queries = [_in_scheme(spec, f"{source}: queries[{index}]", scheme) for index, spec in enumerate(recipe.queries)]
    queries = expand_queries(recipe, source)
    asked = [choice.name for choice in recipe.providers if choice.enabled and provider_class(choice.name).takes_queries]
    if asked and not queries:
        raise RecipeError(f"{source}: queries: {', '.join(asked)} is enabled, but there are no queries to ask")
    return recipe


def expand_queries(recipe: CollectRecipe, source: str = "recipe") -> list[SearchQuery]:
    """Every search of a recipe, in its order, each text once: where two queries ask the same, the first stands.

    Raises `RecipeError` where one text stands under two labels, since its finds could have only one, and for "{bone}" without bones.
    """
    by_text: dict[str, SearchQuery] = {}
    for index, spec in enumerate(recipe.queries):
        where = f"{source}: queries[{index}]"
        for term in spec.terms:
            fills = [spec.region] if spec.region else recipe.bones if BONE in term else [""]
            if not fills:
                raise RecipeError(f"{where}: {term!r} has {BONE}, but the recipe has no bones: add `bones: [hand, …]` or a region")
            for bone in fills:
                query = SearchQuery(" ".join(term.replace(BONE, bone).split()), spec.label, spec.subtype, bone)
                first = by_text.setdefault(query.text.casefold(), query)
                if first.label != query.label:
                    raise RecipeError(f"{where}: {query.text!r} stands under {first.label!r} and {query.label!r}; keep one of them")
    return list(by_text.values())


def _words(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise RecipeError(f"{where}: expected a list of words, got {value!r}")
    return [word.strip() for word in value]


def _provider_choices(data: object, source: str) -> list[ProviderChoice]:
    choices = []
    for name, given in checked_mapping(data, source, "providers and their options").items():
        where, options = f"{source}: {name}", dict(checked_mapping(given, f"{source}: {name}", "options (or nothing)"))
        common: dict[str, Any] = {key: options.pop(key) for key in ("enabled", "limit") if key in options}
        read: dict[str, Reader] = {"options": lambda checked, _where: checked}
        known: dict[str, Any] = {"name": str(name), "options": provider_options(str(name), options, source), **common}
        choices.append(dataclass_from_dict(ProviderChoice, known, where, read=read))
    return choices


def _scheme(name_or_path: str, source: str, folder: Path | None) -> LabelScheme:
    beside = folder / name_or_path if folder is not None else None
    try:
        return load_scheme(beside if beside is not None and beside.is_file() else name_or_path)
    except ValueError as error:
        raise RecipeError(f"{source}: labels: {error}") from error


def _query_specs(data: object, source: str) -> list[QuerySpec]:
    if not isinstance(data, list | None):
        raise RecipeError(f"{source}: expected a list of mappings with label and terms, got {data!r}")
    read: dict[str, Reader] = {**dict.fromkeys(("label", "subtype", "region"), text_of), "terms": _terms}
    return [dataclass_from_dict(QuerySpec, spec, f"{source}[{index}]", read=read) for index, spec in enumerate(data or [])]


def _terms(data: object, where: str) -> tuple[str, ...]:
    terms = _words(data, where)
    for term in terms:
        for placeholder in re.findall(r"\{[^}]*\}?", term):
            if placeholder != BONE:
                raise RecipeError(f"{where}: {placeholder} in {term!r} is not known{nearest(placeholder, [BONE])}; only {BONE} is")
    return tuple(terms)


def _in_scheme(spec: QuerySpec, where: str, scheme: LabelScheme) -> QuerySpec:
    """The query under the class and subtype that its words stand for in the scheme."""
    label, subtype, name = spec.label, spec.subtype, scheme.class_of(spec.label)
    if name is None:
        near = scheme.hint(label)
        why = f" ({reason})" if (reason := scheme.refusal(label)) else f"; did you mean {near!r}?" if near else ""
        raise RecipeError(f"{where}.label: {label!r} is not a label of scheme {scheme.name!r}: {', '.join(scheme.names)}{why}")
    found = scheme.subtype(subtype or label)
    if subtype and (found is None or scheme.class_of(found) != name):
        subtypes = next(c.subtypes for c in scheme.classes if c.name == name)
        near = scheme.hint(subtype)
        hint = f"; did you mean {near!r}?" if near in subtypes else ""
        raise RecipeError(f"{where}.subtype: {subtype!r} is not a subtype of {name!r}: {', '.join(subtypes) or 'it has none'}{hint}")
    return dataclasses.replace(spec, label=name, subtype=found or "")
