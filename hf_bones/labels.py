"""The classes of a bone radiograph: names, order, written definitions, subtypes and aliases.

A scheme is an ordered tuple of classes. Two ship with the project (`THREE_CLASS`, the default, and `TWO_CLASS`); others come from a
YAML file. Aliases map other people's folder names to ours and never guess: a word such as MURA's "positive" or "abnormal", which is
not "fractured", is refused unless the caller maps it by hand.

Not here: growing a model's head from one scheme to another (`training/backbone/loading.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hf_bones.config.fields import nearest
from hf_bones.config.loading import parse_yaml
from hf_bones.label_words import FRACTURE, NO, is_kind_of_fracture, nearest_word, normalise_name, said_by, without_fillers

__all__ = [
    "BEYOND_REPAIR", "FRACTURED", "HEALTHY", "SHIPPED_SCHEMES", "THREE_CLASS", "TWO_CLASS", "LabelClass", "LabelScheme",
    "UnknownLabelError", "load_scheme", "normalise_name", "scheme_from_dict",
]  # fmt: skip

HEALTHY = "healthy"
FRACTURED = "fractured"
BEYOND_REPAIR = "beyond_repair"


class UnknownLabelError(ValueError):
    """A name that no class, subtype or alias of the scheme covers, or one too vague to map."""


@dataclass(frozen=True)
class LabelClass:
    """One class: its name, what it means in words, the subtypes it holds and the names others use for it."""

    name: str
    definition: str
    subtypes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelScheme:
    """An ordered set of classes. `classes[0]` is the normal one unless `normal` names another.

    `refused` holds words that are known but too vague to map; each comes with the reason that the error prints.
    """

    name: str
    classes: tuple[LabelClass, ...]
    normal: str = HEALTHY
    refused: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"label scheme {self.name!r} has {len(self.classes)} class; it needs two or more")
        if self.normal not in self.names:
            raise ValueError(f"label scheme {self.name!r}: normal class {self.normal!r} is not one of {list(self.names)}")
        owner: dict[str, str] = {}
        for label in self.classes:
            for word in dict.fromkeys(normalise_name(w) for w in (label.name, *label.subtypes, *label.aliases)):
                if word in owner:
                    raise ValueError(f"label scheme {self.name!r}: {word!r} stands for both {owner[word]!r} and {label.name!r}")
                owner[word] = label.name

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return tuple(label.name for label in self.classes)

    @property
    def id2label(self) -> dict[int, str]:
        return dict(enumerate(self.names))

    @property
    def label2id(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @property
    def normal_id(self) -> int:
        """Index of the class that means "nothing found"; every other class counts as abnormal."""
        return self.names.index(self.normal)

    @cached_property
    def _class_of_word(self) -> dict[str, str]:
        """Every name, subtype and alias, normalised, and the class that it stands for."""
        return {normalise_name(term): label.name for label in self.classes for term in (label.name, *label.subtypes, *label.aliases)}

    @cached_property
    def _subtypes(self) -> dict[str, str]:
        return {normalise_name(subtype): subtype for label in self.classes for subtype in label.subtypes}

    @cached_property
    def _parts(self) -> frozenset[str]:
        return frozenset(part for word in self._class_of_word for part in word.split("_"))

    @cached_property
    def _class_of_saying(self) -> dict[frozenset[str], str]:
        """What each known word says, and its class; "X fracture" for each subtype X of an abnormal class. None that two classes share."""
        owners: dict[frozenset[str], set[str]] = {}
        for word, name in self._class_of_word.items():
            said = said_by(word, self._parts)
            if said is None:
                continue
            owners.setdefault(said, set()).add(name)
            if word in self._subtypes and name != self.normal:
                for meaning in (said, without_fillers(said) or said):
                    owners.setdefault(meaning | {FRACTURE}, set()).add(name)
        return {said: names.pop() for said, names in owners.items() if len(names) == 1}

    def class_of(self, name: str) -> str | None:
        """The class that a word stands for beyond doubt, None otherwise: a known word, one that says the same ("without fractures"), or
        known words beside words for bones and films ("hairline fracture of the wrist")."""
        word = normalise_name(name)
        if word in self._class_of_word:
            return self._class_of_word[word]
        said = said_by(word, self._parts)
        if word in self.refused or said is None:
            return None
        for meaning in (said, without_fillers(said)):
            if meaning in self._class_of_saying:
                return self._class_of_saying[meaning]
        rest = without_fillers(said) - {FRACTURE}
        classes = {self._class_of_saying.get(frozenset([word])) for word in rest}
        return classes.pop() if NO not in rest and len(classes) == 1 and self.normal not in classes else None

    def refusal(self, name: str) -> str:
        """Why a word is too vague to map, beside words for bones and films too; "" where it is not one of those."""
        said = said_by(name, self._parts)
        left = "_".join(sorted(without_fillers(said))) if said else ""
        return self.refused.get(normalise_name(name)) or self.refused.get(left) or ""

    def hint(self, name: str) -> str:
        """The known word that somebody may have meant, "" where that is not sure. It never leads from normal to abnormal or back."""
        said = said_by(name, self._parts)
        if said is None or self.refusal(name):
            return ""
        if is_kind_of_fracture(said) and self.class_of(FRACTURE) not in (None, self.normal):
            return FRACTURE
        sides = {word: owner == self.normal for word, owner in self._class_of_word.items()}
        sides |= {f"{subtype}_fracture": False for subtype in self._subtypes if not sides[subtype]}
        return nearest_word(name, sides)

    def definition(self, name: str) -> str:
        """The written definition of a class. Raises `UnknownLabelError` for a name that is not one of the classes."""
        return self.classes[self.names.index(self.resolve(name))].definition

    def resolve(self, name: str, mapping: Mapping[str, str] | None = None) -> str:
        """The class that `name` (a class, subtype or alias, any case) stands for.

        `mapping` is the caller's own word list and wins over the scheme's. Raises `UnknownLabelError` naming the nearest known word,
        or saying why a vague word is refused.
        """
        word = normalise_name(name)
        by_hand = {normalise_name(key): value for key, value in (mapping or {}).items()}
        if word in by_hand:
            if by_hand[word] not in self.names:
                raise UnknownLabelError(f"label map sends {name!r} to {by_hand[word]!r}, which is not one of {list(self.names)}")
            return by_hand[word]
        found = self.class_of(name)
        if found is not None:
            return found
        by_class, unused = (_quoted(f"{name}={what}") for what in ("CLASS", "unused"))
        by_hand_so = f"Map it by hand: --label-map {by_class}, or leave its rows out: --label-map {unused}"
        if reason := self.refusal(name):
            raise UnknownLabelError(f"label {name!r} is refused: {reason}. {by_hand_so}")
        near = self.hint(name)
        hint = f"; the nearest known name is {near!r}" if near else ""
        raise UnknownLabelError(
            f"label {name!r} is not known to scheme {self.name!r} (classes: {', '.join(self.names)}){hint}. {by_hand_so}"
        )

    def subtype(self, name: str) -> str | None:
        """The subtype that `name` is ("hairline", "hairline fracture"), or None when it names a whole class or is not a subtype."""
        if (word := normalise_name(name)) in self._subtypes:
            return self._subtypes[word]
        said = said_by(name, self._parts) or frozenset[str]()
        for subtype in self._subtypes:
            meaning = said_by(subtype, self._parts) or frozenset[str]()
            if without_fillers(said) - {FRACTURE} == (without_fillers(meaning) or meaning) and (FRACTURE in said or meaning <= said):
                return self._subtypes[subtype]
        return None

    def as_dict(self) -> dict[str, object]:
        """Plain data, as `load_scheme` reads it from YAML and as checkpoints carry it."""
        return {
            "name": self.name,
            "normal": self.normal,
            "classes": [
                {"name": c.name, "definition": c.definition, "subtypes": list(c.subtypes), "aliases": list(c.aliases)} for c in self.classes
            ],
            "refused": dict(self.refused),
        }


def _quoted(word: str) -> str:
    """A word as a shell takes it, in quotes always."""
    return shlex.quote(word) if "'" in word else f"'{word}'"


_VAGUE = {
    "positive": "in MURA it means any abnormality (hardware and arthritis too), not a fracture",
    "abnormal": "it can mean hardware, arthritis or a tumour as well as a fracture",
    "abnormality": "it can mean hardware, arthritis or a tumour as well as a fracture",
    "negative": "in MURA it means no abnormality of any kind; check that this is what you want as healthy",
    "other": "it names no finding",
    "unknown": "it names no finding",
}

_HEALTHY = LabelClass(
    HEALTHY,
    "No fracture, dislocation or destruction of bone is visible.",
    aliases=("normal", "intact", "no fracture", "not fractured", "non fractured", "unfractured", "no finding"),
)
_FRACTURED = LabelClass(
    FRACTURED,
    "Needs medical attention and heals with ordinary care: a hairline, greenstick, stable or minor or simple break, or a dislocation.",
    subtypes=(
        "hairline",
        "greenstick",
        "stable",
        "minor",
        "simple",
        "transverse",
        "oblique",
        "spiral",
        "avulsion",
        "impacted",
        "dislocation",
    ),
    aliases=("fracture", "broken", "break", "dislocated", "simple fracture", "fracture dislocation"),
)
_BEYOND_REPAIR = LabelClass(
    BEYOND_REPAIR,
    "Shattered or comminuted, crushed, segmental, gross loss of bone or alignment, non-union or pseudarthrosis: what needs prolonged "
    "reconstruction or cannot be restored. It is not a radiological term.",
    subtypes=("comminuted", "shattered", "crushed", "segmental", "bone loss", "non union", "pseudarthrosis"),
    aliases=("beyond repair", "bones beyond repair", "nonunion", "destroyed", "comminuted fracture"),
)

THREE_CLASS = LabelScheme("three-class", (_HEALTHY, _FRACTURED, _BEYOND_REPAIR), refused=_VAGUE)
TWO_CLASS = LabelScheme("two-class", (_HEALTHY, _FRACTURED), refused=_VAGUE)
SHIPPED_SCHEMES = {scheme.name: scheme for scheme in (THREE_CLASS, TWO_CLASS)}


def scheme_from_dict(data: Mapping[str, object], source: str = "label scheme") -> LabelScheme:
    """A scheme from plain data (see `LabelScheme.as_dict`). Raises ValueError naming the missing or misspelt key and `source`."""
    known = {"name", "normal", "classes", "refused"}
    for key in data:
        if key not in known:
            raise ValueError(f"{source}: unknown key {key!r}{nearest(str(key), known) or f'; known: {sorted(known)}'}")
    classes = data.get("classes")
    if not isinstance(classes, list) or not classes:
        raise ValueError(f"{source}: 'classes' must be a list of mappings with at least 'name' and 'definition'")
    built = []
    for index, entry in enumerate(classes):
        if not isinstance(entry, Mapping) or "name" not in entry or "definition" not in entry:
            raise ValueError(f"{source}: classes[{index}] needs 'name' and 'definition'")
        built.append(
            LabelClass(
                normalise_name(str(entry["name"])),
                str(entry["definition"]),
                tuple(str(s) for s in entry.get("subtypes") or ()),
                tuple(str(a) for a in entry.get("aliases") or ()),
            )
        )
    refused = data.get("refused") or {}
    if not isinstance(refused, Mapping):
        raise ValueError(f"{source}: 'refused' must map a word to the reason it is refused")
    return LabelScheme(
        name=str(data.get("name", "custom")),
        classes=tuple(built),
        normal=normalise_name(str(data.get("normal", built[0].name))),
        refused={normalise_name(str(key)): str(value) for key, value in refused.items()},
    )


def load_scheme(name_or_path: str | Path) -> LabelScheme:
    """A shipped scheme by name, or one from a YAML file.

    Raises ValueError for an unknown name (naming the shipped ones) or a malformed file (naming file and key).
    """
    if str(name_or_path) in SHIPPED_SCHEMES:
        return SHIPPED_SCHEMES[str(name_or_path)]
    path = Path(name_or_path)
    if not path.is_file():
        near = nearest(str(name_or_path), SHIPPED_SCHEMES)
        raise ValueError(f"label scheme {str(name_or_path)!r} is neither one of {sorted(SHIPPED_SCHEMES)} nor a YAML file{near}")
    data = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(data, Mapping):
        raise ValueError(f"{path}: a label scheme is a mapping with 'name' and 'classes'")
    return scheme_from_dict(data, str(path))
