"""What to say where a class of the run's scheme has no film to train or to validate on: which scheme or which splits would do."""

from __future__ import annotations

from collections.abc import Sequence

from hf_bones.config.recipe import DataConfig
from hf_bones.dataset.faults.advice import Films, build_again, bundled_look, class_advice
from hf_bones.dataset.scheme import AUTO, fitting_scheme
from hf_bones.labels import LabelScheme
from hf_bones.record import typed_command


def missing_classes(split: str, missing: Sequence[str], config: DataConfig, scheme: LabelScheme) -> str:
    """The message for classes without a row in `split` ("training", "validation"); where rows can do it ends in a command."""
    licences = f" with licences {config.train_licences}" if config.train_licences else ""
    sources = f" without sources {config.without_sources}" if config.without_sources else ""
    said = f"data: no {split} row of {', '.join(missing)} in {config.dataset or 'drawn images'!r}{licences}{sources}"
    films = None if licences or sources or config.streaming or not config.dataset else _films(config.dataset)
    if films is None or set(films.labels) - set(scheme.names):
        return f"{said}; check dataset, train_licences, without_sources, drawn_images and drawn_validation_images"
    advice = class_advice(films, scheme)
    if advice is None:
        return said
    there = set(films.labels)
    fits = fitting_scheme(there, scheme)
    if advice.options is None:
        return f"{said}: {advice.text}. See what the bundled model says of them: {bundled_look(config.dataset, films.splits[0])}"
    if fits is not None and advice.options == ("--labels", fits.name):  # the same films, told apart as they are
        option = ("--label-scheme", fits.name)
        return f"{said}: {advice.text}. Train with it: {typed_command(*option) or ' '.join(option)}"
    return f"{said}: {advice.text}. Build it again and train on that: {build_again(config.dataset, advice.options)}"


def unknown_classes(unknown: Sequence[str], place: str, scheme: LabelScheme) -> str:
    """The message for a dataset with films of classes that the run's scheme does not have."""
    own = ("--label-scheme", AUTO)
    near = scheme.hint(unknown[0])
    hint = f"; did you mean {near!r}?" if near else "."
    return (
        f"label_scheme: {scheme.name!r} has no class {list(unknown)}, which {place} holds{hint} "
        f"Train with the dataset's own classes: {typed_command(*own) or ' '.join(own)}"
    )


def _films(dataset: str) -> Films:
    """The rows of all splits; of a built dataset the word for a class is its name."""
    from hf_bones.dataset.build import load_bones

    labels: list[str] = []
    groups: list[str] = []
    splits: list[str] = []
    for split, part in load_bones(dataset).items():
        names = part.features["label"].names
        labels += [names[label] if label is not None and label >= 0 else "" for label in part["label"][:]]
        groups += part["group"][:]
        splits += [split] * len(part)
    return Films(labels, groups, splits, labels)
