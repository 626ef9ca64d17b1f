"""What other people's words for a label say: what they deny, what they add to a known word, and which known word they misspell.

One rule is above all others: no word is ever read as, or likened to, one from the other side of the line between normal and abnormal.
"unbroken" is not near "broken", and "bone fracture" is not near "non fractured". Unsure gives nothing.

Not here: which words a scheme knows (`labels.py`).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

NO = "no"
FRACTURE = "fracture"
# Words that deny, those of other languages too, which stand beside "fracture" in folders of public sets.
_DENIALS = {
    "no", "not", "non", "un", "none", "nil", "never", "nor", "neither", "without", "absent", "absence", "excluded", "free", "negative",
    "neg", "lacks", "lacking", "false", "denied", "sans", "sin", "ohne", "kein", "keine", "senza", "sem", "geen", "pas", "aucune",
    "ingen", "bez", "nicht", "keinen", "keiner", "nessuna", "nessun", "ninguna", "ningun", "nenhuma", "nenhum", "aucun", "ikke", "inte",
    "lack", "brak",
}  # fmt: skip
_GLUED = ("without", "non", "not", "no", "un")  # denials that are written as one word with what they deny
_GLUED_BEHIND = ("negative", "free", "less", "neg", "non", "not", "no")
_JOINING = {"and", "or", "vs", "versus", "both", "either"}  # before a denial they make it one of two: "with and without fracture"
_FRACTURES = {"fracture", "fractured", "fracturing", "broken", "break", "fx"}
# Words that add nothing to a label.
_FILLERS = {
    "bone", "with", "of", "the", "a", "an", "in", "on", "at", "is", "are", "has", "have", "and", "for", "any", "sign", "evidence",
    "x", "ray", "xray", "radiograph", "radiography", "image", "film", "scan", "patient", "case", "class", "label", "type", "sample",
    "only", "yes", "true", "present", "visible",
}  # fmt: skip
# Less their last s, as `_singular` leaves them.
_ANATOMY = {
    "hand", "finger", "thumb", "phalanx", "metacarpal", "carpal", "scaphoid", "wrist", "forearm", "radiu", "ulna", "elbow",
    "humeru", "arm", "shoulder", "clavicle", "scapula", "rib", "spine", "vertebra", "pelvi", "hip", "femur", "thigh", "knee",
    "patella", "tibia", "fibula", "leg", "ankle", "foot", "toe", "metatarsal", "calcaneu", "heel", "distal", "proximal", "upper",
    "lower", "left", "right",
}  # fmt: skip
# What a fracture may be called without saying how bad it is: enough for a hint, too little to know the class by.
_KINDS = {
    "longitudinal", "pathological", "pathologic", "displaced", "nondisplaced", "undisplaced", "open", "closed", "compound",
    "complete", "incomplete", "linear", "buckle", "torus", "stress", "compression", "burst", "fatigue", "colle", "smith", "boxer",
    "jone", "barton", "monteggia", "galeazzi", "bennett", "intraarticular", "extraarticular", "comminuted", "shattered", "crushed",
    "segmental",
}  # fmt: skip
_AFFIRMING = {"positive", "pos"}
_PLUS, _UNSURE = "positive", "unsure"
_ACCENTS = re.compile(r"[\u0300-\u036f]")
_WHOLE = re.compile(r"([+-]?\d+)(?:[.,]0*)?")
_NEAR, _MARGIN = 0.8, 0.15  # how alike a misspelt word must be, and how much less alike the nearest of the other side


def normalise_name(name: str) -> str:
    """Folds case, accents, spaces and punctuation: "Beyond-Repair " becomes "beyond_repair". Two words that mean two things stay two.

    Letters of every script stay. Signs that mean something become words: "(-)" and "w/o" deny, "fx?" and "fx -" are unsure. A number keeps
    its sign and loses an empty fraction ("-1", "1.0"); what is nothing but signs stays as it is.
    """
    text = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", name.strip().casefold()))).casefold()
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text)
    if number := _WHOLE.fullmatch(text):
        return number[1].removeprefix("+")
    text = re.sub(r"^-[-_\s]*(.*\w)[-_\s]*-$", r"\1", text)  # an ornament
    text = re.sub(r"(?<=.)\(\s*-\s*\)", " no ", text)
    text = re.sub(r"\bw/o\b", "without", text)
    text = re.sub(r"[\s_]*(?:\(\s*\+\s*\)|\++)$", f" {_PLUS}", text) if re.search(r"\w", text) else text
    text = re.sub(r"[?!~\u00ac\u00b1]|^-\s*|(?<=\w)[\s_]*-+$", f" {_UNSURE} ", text) if re.search(r"\w", text) else text
    return re.sub(r"[\W_]+", "_", text).strip("_") or re.sub(r"\s+", "", text)


def said_by(name: str, known: Iterable[str] = ()) -> frozenset[str] | None:
    """What a name says, whatever its order and spelling: "without a fracture" is {no, a, fracture}.

    None where it denies twice, or says a thing and its contrary: "fracture or no fracture".
    `known` are single words that a denial may be glued to, beside those for a fracture: "unhealthy" is {no, healthy} where `healthy` is.
    """
    words = [FRACTURE if word in _FRACTURES else word for word in _words(name, frozenset(known))]
    if NO in words and (len(set(words)) < len(words) or _JOINING & set(words[: words.index(NO)])):
        return None
    return frozenset(words)


def without_fillers(said: frozenset[str]) -> frozenset[str]:
    """What is left without words for bones and films, which say nothing of a fracture: {forearm, fracture} is {fracture}.

    Of a fracture, and of nothing else, "positive" says no more than that it is there.
    """
    left = said - _FILLERS - _ANATOMY
    return left - _AFFIRMING if FRACTURE in left and NO not in left else left


def is_kind_of_fracture(said: frozenset[str]) -> bool:
    """Whether it is a fracture for certain, of a kind that does not say how bad it is: "longitudinal fracture"."""
    rest = without_fillers(said)
    return FRACTURE in rest and rest - {FRACTURE} <= _KINDS


def nearest_word(name: str, sides: Mapping[str, bool]) -> str:
    """The known word that `name` misspells, "" where none is near or the nearest of both sides are. `sides`: word → is it normal?

    Each part must be like its counterpart, from its first letter on, and both deny or neither does.
    """
    parts = frozenset(part for word in sides for part in normalise_name(word).split("_"))
    mine = _words(name, parts)
    best: dict[bool, tuple[float, str]] = {True: (0.0, ""), False: (0.0, "")}
    for word, side in sides.items():
        alike = _alike(mine, _words(word, parts))
        if alike > best[side][0]:
            best[side] = (alike, word)
    (less, _), (most, word) = sorted(best.values())
    return word if most >= _NEAR and most - less >= _MARGIN else ""


def _words(name: str, known: frozenset[str]) -> list[str]:
    """The words of a name, in the singular; every denial is "no", and one that is glued to a known word is taken apart."""
    stems = _stems(known)
    words: list[str] = []
    for word in normalise_name(name).split("_"):
        if word in _DENIALS:
            words.append(NO)
            continue
        stem = _singular(word)
        glued = next((stem[len(start) :] for start in _GLUED if stem.startswith(start) and stem[len(start) :] in stems), "")
        glued = glued or next((stem[: -len(end)] for end in _GLUED_BEHIND if stem.endswith(end) and stem[: -len(end)] in stems), "")
        words += [NO, glued] if glued else [stem]
    return words


@lru_cache(maxsize=32)
def _stems(known: frozenset[str]) -> frozenset[str]:
    """What a denial may be glued to."""
    return frozenset(_FRACTURES) | {_singular(word) for word in known if len(word) > 3}


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _alike(mine: list[str], theirs: list[str]) -> float:
    """How alike the least alike of the words are, from 0 to 1."""
    if len(mine) != len(theirs) or mine.count(NO) != theirs.count(NO):
        return 0.0
    least = 1.0
    for one, other in zip(sorted(mine, key=NO.__ne__), sorted(theirs, key=NO.__ne__), strict=True):  # denials first, the rest in order
        if one != other and (NO in (one, other) or one[:1] != other[:1]):
            return 0.0
        least = min(least, difflib.SequenceMatcher(None, one, other).ratio())
    return least
