"""`hf-bones collect` as plain functions: a recipe and a few choices become a run, or a list of what it would find."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_bones.collect.candidate import Candidate, Provider, ProviderError
from hf_bones.collect.choices import Choices
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.api import Api, HostUnreachedError
from hf_bones.collect.http.web import user_agent
from hf_bones.collect.licences import LicencePolicy
from hf_bones.collect.providers.registry import make_provider, provider_names
from hf_bones.collect.queue import Search
from hf_bones.collect.recipe import CollectRecipe, ProviderChoice, SearchQuery, expand_queries, load_collect_recipe
from hf_bones.collect.recording import CollectResult
from hf_bones.collect.run import collect
from hf_bones.collect.searching import ENOUGH_FAILURES, unforeseen
from hf_bones.config.recipe import RecipeError, nearest
from hf_bones.manifest.store import open_manifest

CONTACT_VARIABLE = "HF_BONES_CONTACT"
_LOCAL = frozenset({"folder", "hub"})  # sources that no stranger's server is asked for
RECIPE_FACT = "recipe"


def collect_command(recipe: str | Path, out: Path, choices: Choices, *, show_progress: bool = True) -> CollectResult:
    """Collects by a recipe (a shipped one's name, or a file) into the folder `out`.

    Raises `RecipeError` for a recipe or choice that cannot be used, and `CollectError` as `collect` does.
    """
    loaded, policy, guard, agent = _prepare(recipe, choices)
    with _api(agent, guard, loaded) as api:
        searches = plan(loaded, api, choices)
        with open_manifest(out, create=True) as manifest:
            manifest.set_fact(RECIPE_FACT, json.dumps(loaded.as_dict()))
        return collect(
            out,
            searches,
            loaded.fetch,
            guard=guard,
            agent=agent,
            permits=policy.permits,
            retry_failed=choices.retry_failed,
            show_progress=show_progress,
        )


@dataclass(frozen=True, eq=False)
class Preview:
    """A candidate of a dry run: who found it, under which label, and whether its licence is accepted. `error`: the search failed
    instead."""

    provider: str
    label: str
    candidate: Candidate | None
    accepted: bool = False
    error: str = ""


def preview_command(recipe: str | Path, choices: Choices) -> Iterator[Preview]:
    """What a run would find, search by search: nothing is fetched and nothing is written.

    A provider that fails several times in a row, or cannot be reached, is left alone. Raises as `collect_command` does, and ConnectionError
    within 15 s where there is no network.
    """
    loaded, policy, guard, agent = _prepare(recipe, choices)
    failures, left_alone = Counter[str](), Counter[str]()
    with _api(agent, guard, loaded, patient=False) as api:
        for search in plan(loaded, api, choices):
            name = search.provider.name
            if failures[name] >= ENOUGH_FAILURES:
                left_alone[name] += 1
                continue
            try:
                for candidate in search.provider.search(search.query, search.limit):
                    yield Preview(name, candidate.label or search.label, candidate, policy.permits(candidate.licence))
            except ProviderError as error:
                failures[name] += ENOUGH_FAILURES if isinstance(error, HostUnreachedError) else 1
                yield Preview(name, search.label, None, error=str(error))
                if api.lacks_network:
                    raise ConnectionError("no network: none of the providers can be reached; connect, and try again") from error
            except Exception as error:  # noqa: BLE001 - recorded as how the search ended
                failures[name] += 1
                yield Preview(name, search.label, None, error=unforeseen(name, error))
            else:
                failures[name] = 0
    for name, count in left_alone.items():
        yield Preview(name, "", None, error=f"{count:,} further searches not asked, since those before failed")


def preview_summary(previews: Counter[tuple[str, str, str, bool]]) -> list[str]:
    """The counts of a dry run by provider, label, licence and whether it would be fetched, a line each."""
    lines = [f"{'provider':<11}{'label':<15}{'licence':<26}{'found':>6}"]
    for (provider, label, licence, accepted), count in sorted(previews.items()):
        lines.append(f"{provider:<11}{label:<15}{licence:<26}{count:>6}" + ("" if accepted else "  not fetched: licence"))
    return lines


def plan(recipe: CollectRecipe, api: Api, choices: Choices) -> list[Search]:
    """The searches of a recipe: every query to every enabled provider, query by query, so that all labels grow alike."""
    for name in choices.providers:
        if name not in provider_names():
            raise RecipeError(f"--provider {name!r} is not known{nearest(name, provider_names())}; known: {', '.join(provider_names())}")
        if name not in {choice.name for choice in recipe.providers}:
            raise RecipeError(f"--provider {name}: recipe {recipe.name!r} does not list it under providers; add `{name}:` with its options")
    chosen = [choice for choice in recipe.providers if (choice.name in choices.providers if choices.providers else choice.enabled)]
    if not chosen:
        raise RecipeError(f"recipe {recipe.name!r} enables no provider; add one under providers: {', '.join(provider_names())}")
    providers = []
    for choice in chosen:
        try:
            providers.append((choice, make_provider(choice.name, choice.options, api)))
        except ProviderError as error:
            raise RecipeError(f"recipe {recipe.name!r}: providers: {choice.name}: {error}") from error
    queries = expand_queries(recipe)
    searches = []
    for query in queries:
        for choice, provider in providers:
            if provider.takes_queries:
                searches.append(_search(choice, provider, query, choices, recipe))
    for choice, provider in providers:
        if not provider.takes_queries:
            searches.append(_search(choice, provider, SearchQuery("", ""), choices, recipe))
    return searches


def _search(choice: ProviderChoice, provider: Provider, query: SearchQuery, choices: Choices, recipe: CollectRecipe) -> Search:
    limit = choices.limit if choices.limit is not None else recipe.limit_of(choice)
    options = json.dumps(dataclasses.asdict(choice.options), sort_keys=True)
    return Search(provider, query.text, query.label, query.subtype, query.region, limit, options)


def _prepare(recipe: str | Path, choices: Choices) -> tuple[CollectRecipe, LicencePolicy, AddressGuard, str]:
    loaded = load_collect_recipe(recipe)
    unknown = choices.unknown_licence or loaded.licences.unknown
    if unknown not in ("skip", "fetch"):
        raise RecipeError(f"--unknown-licence {unknown!r}: expected skip or fetch")
    policy = LicencePolicy(tuple(loaded.licences.accept), unknown == "fetch")
    enabled = set(choices.providers) or {choice.name for choice in loaded.providers if choice.enabled}
    contact = (choices.contact or os.environ.get(CONTACT_VARIABLE) or loaded.contact).strip()
    if not contact and enabled - _LOCAL:
        raise RecipeError(
            "nobody could reach you: give an e-mail address or a page of yours, which goes into the User-Agent "
            f"(--contact ADDRESS, {CONTACT_VARIABLE}, or `contact:` in the recipe)"
        )
    return loaded, policy, AddressGuard(choices.allow_private), user_agent(contact)


def _api(agent: str, guard: AddressGuard, recipe: CollectRecipe, *, patient: bool = True) -> Api:
    fetch = recipe.fetch
    return Api(agent, guard, attempts=fetch.attempts, first_wait=fetch.first_wait, longest_wait=fetch.longest_wait, patient=patient)
