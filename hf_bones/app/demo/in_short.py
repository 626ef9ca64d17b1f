"""What a finding says, in a few words: for tables and for models side by side. The Classify tab says it at length."""

from __future__ import annotations

from hf_bones.app.demo.result.cards import title_of
from hf_bones.app.demo.wording import Words
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER, UNREADABLE, Finding


def in_short(name: str, words: Words) -> str:
    """A class or verdict in a word or two; a class of a scheme of its own keeps its name."""
    if name == UNREADABLE:
        return words("batch.unreadable")
    return title_of(name, words)


def remarks(finding: Finding, words: Words) -> str:
    """Why a film got no class, or what else is possible; "" where there is nothing to say."""
    if not finding.readable:
        key = f"classify.refused.{finding.reasons[0]}"
        return words(key) if words.has(key) else finding.reasons[1]
    if finding.unfamiliar:
        return words("classify.verdict.unfamiliar.meaning")
    if finding.verdict == NOT_A_BONE_XRAY:
        return words("classify.verdict.not_a_bone_xray.meaning")
    others = [in_short(name, words) for name in finding.prediction_set if name != finding.verdict]
    if not others:
        return ""
    return words("classify.open" if finding.verdict == REFER else "classify.also", names=", ".join(others))
