"""The providers by name. A provider's module is imported when it is first asked for, so that none costs anything until it is used.

A new provider is one file beside this one and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_bones.collect.candidate import Provider
from hf_bones.config.recipe import RecipeError, dataclass_from_dict, nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from hf_bones.collect.http.api import Api

_CLASSES = {
    "openverse": "Openverse",
    "commons": "Commons",
    "openi": "OpenI",
    "europepmc": "EuropePmc",
    "searxng": "SearxNG",
    "web": "Web",
    "urls": "Urls",
    "folder": "Folder",
    "hub": "Hub",
}


def provider_names() -> list[str]:
    """Names under which providers stand in a recipe: first those with licences, then the web, then what is already at hand."""
    return list(_CLASSES)


def provider_class(name: str, source: str = "provider") -> type[Provider]:
    """The class behind a name. Raises `RecipeError` naming `source` and the nearest known name."""
    if name not in _CLASSES:
        raise RecipeError(f"{source}: unknown provider {name!r}{nearest(name, _CLASSES)}; known: {', '.join(_CLASSES)}")
    kind: type[Provider] = getattr(importlib.import_module(f"hf_bones.collect.providers.{name}"), _CLASSES[name])
    return kind


def provider_options(name: str, options: Mapping[str, Any], source: str = "provider") -> DataclassInstance:
    """The options of a provider as its `options_type`. Raises `RecipeError` naming `source`, the key and the nearest known key."""
    checked: DataclassInstance = dataclass_from_dict(provider_class(name, source).options_type, options, f"{source}: {name}")
    return checked


def make_provider(name: str, options: Mapping[str, Any] | DataclassInstance, api: Api | None) -> Provider:
    """A provider, ready to search. `options` are plain data, which is checked, or the provider's own options.

    `api` is its way to the network; urls, folder, hub and web need none. Raises `RecipeError` as `provider_options` does, and
    `ProviderError` where an option that it cannot do without, or a package that it needs, is missing.
    """
    kind: Any = provider_class(name)  # a Protocol says nothing about how its classes are made
    provider: Provider = kind(provider_options(name, options) if isinstance(options, Mapping) else options, api)
    return provider
