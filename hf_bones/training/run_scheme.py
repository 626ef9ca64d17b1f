"""The classes of a run: those that its recipe names, else those of its dataset."""

from __future__ import annotations

from typing import Any

from hf_bones.config.recipe import DataConfig, Recipe, override
from hf_bones.dataset.scheme import AUTO, scheme_of_names, written_scheme
from hf_bones.labels import SHIPPED_SCHEMES, THREE_CLASS, LabelScheme, load_scheme
from hf_bones.training.run.checkpoints import comparable


def run_scheme(data: DataConfig) -> LabelScheme:
    """The scheme that `label_scheme` names; with `auto` the one that the dataset was built with, else the names of its labels.

    Drawn radiographs alone have three classes. Raises ValueError (of several kinds) for a scheme or a dataset that is not there.
    """
    if data.label_scheme != AUTO:
        return load_scheme(data.label_scheme)
    if not data.dataset:
        return THREE_CLASS
    written = written_scheme(data.dataset)
    if written is not None:
        return written
    names = _class_names(data)
    return scheme_of_names(names, data.dataset) if names else THREE_CLASS


def with_scheme(recipe: Recipe, scheme: LabelScheme | None = None) -> Recipe:
    """The recipe with its dataset's scheme by name in place of `auto`, where that ships with the package: so that records say it.

    `scheme` is what `run_scheme` has found already: without it the dataset is asked.
    """
    if recipe.data.label_scheme != AUTO:
        return recipe
    scheme = scheme or run_scheme(recipe.data)
    return override(recipe, {"label_scheme": scheme.name}) if SHIPPED_SCHEMES.get(scheme.name) == scheme else recipe


def noted(recipe: Recipe) -> dict[str, Any]:
    """A recipe as its run notes it (`comparable`), with its classes by name."""
    return comparable(with_scheme(recipe).as_dict())


def _class_names(data: DataConfig) -> list[str]:
    if data.streaming:
        from hf_bones.dataset.streamed.shards import class_names, find_shards

        return class_names(next(iter(find_shards(data.dataset).values()))[0])
    from hf_bones.dataset.build import load_bones

    names: list[str] = next(iter(load_bones(data.dataset).values())).features["label"].names
    return names
