"""What the Classify tab says of films: the verdict in words that a patient's relative understands, and the figures behind it.

The words are in `words/`, the HTML in `cards.html.j2`, which escapes whatever is put into it. No gradio here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_bones.app.demo.wording import Words
from hf_bones.images.opening import Radiograph
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER, UNREADABLE, Finding
from hf_bones.inference.study.join import StudyJoin
from hf_bones.labels import THREE_CLASS, LabelScheme
from hf_bones.pages.templates import fragment
from hf_bones.pages.text import percent
from hf_bones.pages.text import words as readable

TEMPLATE = "app/demo/result/cards.html.j2"


@dataclass(frozen=True)
class Card:
    """A verdict in plain words. verdict: the class, or what stands for it, for its colour and sign. score: its probability, "" without
    one. more: sentences on what else is possible. next: what to do."""

    verdict: str
    kicker: str
    title: str
    meaning: str
    score: str = ""
    more: tuple[str, ...] = ()
    next: str = ""


def title_of(name: str, words: Words) -> str:
    """A class or verdict as a reader knows it; a class of somebody's own scheme by its name."""
    key = f"classify.verdict.{name}.title"
    return words(key) if words.has(key) else readable(name)


def card_of(finding: Finding, scheme: LabelScheme, words: Words, *, alone: bool = False) -> Card:
    """The card of a finding of one view or of a study; `alone`: of one view of several."""
    kicker = words("classify.says")
    if finding.views:
        kicker = words("classify.says_together", count=len(finding.views))
    elif alone:
        kicker = words("classify.says_alone")
    title, more = title_of(_kind(finding), words), _more(finding, words)
    if not finding.readable:
        reason = f"classify.refused.{finding.reasons[0]}" if finding.reasons else ""
        return Card(UNREADABLE, kicker, title, words(reason) if words.has(reason) else " ".join(finding.reasons[1:2]), more=more)
    key = f"classify.verdict.{_kind(finding)}"
    if words.has(f"{key}.meaning") and (finding.verdict not in scheme.names or _is_ours(finding.verdict, scheme)):
        meaning, advice = words(f"{key}.meaning"), words(f"{key}.next")
    else:
        meaning, advice = scheme.definition(finding.verdict), ""
    score = percent(finding.probabilities[finding.verdict]) if finding.verdict in finding.probabilities else ""
    return Card(finding.verdict, kicker, title, meaning, score, more, advice)


def verdict_html(finding: Finding | None, scheme: LabelScheme, words: Words, turn: int = 0) -> str:
    """The card with the answer; None is the empty page. `turn`: which of the page's turns it answers."""
    if finding is None:
        return fragment(TEMPLATE, "empty", words, turn)
    card = card_of(finding, scheme, words)
    if not finding.readable:
        return fragment(TEMPLATE, "refused", words, card, finding, turn)
    return fragment(TEMPLATE, "verdict", words, card, turn)


def reading_html(names: Sequence[str], words: Words, turn: int = 0) -> str:
    """The card while films are being read."""
    return fragment(TEMPLATE, "reading", words, list(names), turn)


def failed_html(sentence: str, words: Words, turn: int = 0) -> str:
    """The card where a model could not answer at all."""
    return fragment(TEMPLATE, "failed", sentence, turn, words)


def view_html(finding: Finding, radiograph: Radiograph | None, decision: DecisionRule, words: Words, *, alone: bool = False) -> str:
    """What stands below the verdict for one view: bars of the probabilities, and its figures folded away."""
    scheme = decision.scheme
    given = finding.probabilities
    shares = {name: (title_of(name, words), given[name]) for name in scheme.names} if given else {}
    card = card_of(finding, scheme, words, alone=True) if alone else None
    facts = technical_facts(finding, radiograph, words)
    return fragment(TEMPLATE, "view", words, card, shares, facts, bool(finding.boxes))


def study_html(finding: Finding, decision: DecisionRule, words: Words) -> str:
    """What stands below the verdict of all views together."""
    given, kind = finding.probabilities, (decision.study or StudyJoin()).kind
    shares = {name: (title_of(name, words), given[name]) for name in decision.scheme.names} if given else {}
    facts = [(words("classify.figure.join"), words(f"classify.join.{kind}")), *technical_facts(finding, None, words)]
    return fragment(TEMPLATE, "view", words, None, shares, facts, False)


def technical_facts(finding: Finding, radiograph: Radiograph | None, words: Words) -> list[tuple[str, str]]:
    """Name and value of each technical figure of a finding."""
    facts = [("file", finding.source)]
    if radiograph is not None:
        width, height = radiograph.original_size
        facts.append(("image", f"{radiograph.source_format}, {width} × {height} px"))
        facts.append(("steps", "; ".join(radiograph.steps)))
    if finding.probabilities:
        rows = (("calibrated", finding.probabilities), ("raw", finding.raw_probabilities))
        facts += [(name, ", ".join(f"{label} {share:.4f}" for label, share in shares.items())) for name, shares in rows]
        facts.append(("set", ", ".join(finding.prediction_set) or words("classify.none")))
    facts.append(("reasons", "; ".join(reason for reason in finding.reasons if reason)))
    if finding.familiarity is not None:
        facts.append(("familiarity", words("classify.figure.familiarity_value", share=percent(finding.familiarity))))
    places = [words("classify.figure.box", share=percent(box.score), x=percent(box.cx), y=percent(box.cy)) for box in finding.boxes]
    facts.append(("boxes", "; ".join(places)))
    calibrated = "" if finding.calibrated else f" ({words('classify.not_calibrated')})"
    facts.append(("model", finding.checkpoint + (f" @ {finding.revision[:12]}" if finding.revision else "") + calibrated))
    return [(words(f"classify.figure.{name}"), value) for name, value in facts if value]


def definitions_html(scheme: LabelScheme, words: Words) -> str:
    """The classes with their written definitions and subtypes."""
    classes = []
    for label in scheme.classes:
        definition = words(f"classify.definition.{label.name}") if _is_ours(label.name, scheme) else label.definition
        classes.append((label.name, title_of(label.name, words), definition, label.subtypes))
    return fragment(TEMPLATE, "definitions", words, classes)


def _kind(finding: Finding) -> str:
    return "unfamiliar" if finding.verdict == REFER and finding.unfamiliar else finding.verdict


def _is_ours(name: str, scheme: LabelScheme) -> bool:
    """Whether a class means what this project means by its name, so that there are words for it."""
    return name in THREE_CLASS.names and scheme.definition(name) == THREE_CLASS.definition(name)


def _more(finding: Finding, words: Words) -> tuple[str, ...]:
    shares = finding.probabilities
    likeliest = max(shares, key=shares.__getitem__) if shares else finding.verdict
    others = [title_of(name, words) for name in finding.prediction_set if name != finding.verdict]
    more = []
    if others and finding.verdict not in (NOT_A_BONE_XRAY, UNREADABLE):
        more.append(words("classify.open" if finding.verdict == REFER else "classify.also", names=", ".join(others)))
    if finding.verdict in shares and likeliest != finding.verdict:
        more.append(words("classify.not_likeliest", name=title_of(likeliest, words)))
    out = [view.source for view in finding.views if view.verdict in (UNREADABLE, NOT_A_BONE_XRAY)]
    if out:
        more.append(words("classify.left_out", names=", ".join(out)))
    return tuple(more)
