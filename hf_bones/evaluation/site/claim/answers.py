"""CLAIM's items filled from records: the checkpoint's files, the site's table, what this run found. The rest are questions to the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_bones.config.loading import parse_yaml
from hf_bones.evaluation.site.claim.items import ITEMS, Item

FILLED, PART, OPEN, NOT_APPLICABLE = "filled", "in part", "open", "does not apply"
FILE = "claim.yaml"


@dataclass(frozen=True)
class Known:
    """What is known of an item: text, and the question that is left to the site, "" for none."""

    text: str = ""
    question: str = ""
    applies: bool = True


@dataclass(frozen=True)
class Answer:
    """An item with its state, what records say of it, what the site said, and the question that is left ("" for none)."""

    item: Item
    state: str
    text: str
    question: str = ""


def answers(known: Mapping[int, Known], said: Mapping[int, str]) -> list[Answer]:
    """Every item in its order. `known`: item number → what records say; `said`: what the site answered, which leaves no question."""
    found = []
    for item in ITEMS:
        own = known.get(item.number, Known())
        if own_words := said.get(item.number, ""):
            found.append(Answer(item, FILLED, " ".join(part for part in (own.text, f"The site: {own_words}") if part)))
        elif not own.applies:
            found.append(Answer(item, NOT_APPLICABLE, own.text))
        else:
            state = OPEN if not own.text else PART if own.question else FILLED
            found.append(Answer(item, state, own.text, own.question or ("" if own.text else "Nothing is recorded of this.")))
    return found


def counted(found: Sequence[Answer]) -> dict[str, int]:
    """Items of each state, and `apply`: all but those that do not."""
    counts = {state: sum(answer.state == state for answer in found) for state in (FILLED, PART, OPEN, NOT_APPLICABLE)}
    return {**counts, "apply": len(found) - counts[NOT_APPLICABLE]}


def summary(found: Sequence[Answer]) -> str:
    """`38 of the 43 items that apply are filled from records, 3 in part, 2 are open`, with a full stop."""
    counts = counted(found)
    told = f"{counts[FILLED]} of the {counts['apply']} items that apply are filled from records or by the site's answers"
    return f"{told}; {counts[PART]} are filled in part and {counts[OPEN]} are open."


def write_questions(found: Sequence[Answer], said: Mapping[int, str], path: Path) -> None:
    """Writes the open questions as YAML to fill in; answers that were given stay in it."""
    lines = [
        "# Questions that the records leave open. Write your answers between the quotes and run `hf-bones site` again with",
        f"# --answers {FILE}: they stand in the report from then on.",
    ]
    for answer in found:
        given = said.get(answer.item.number, "")
        if answer.question or given:
            lines += ["", f"# {answer.item.part}. {answer.item.asks}.", *([f"# {answer.question}"] if answer.question else [])]
            lines.append(f"{answer.item.number}: {_quoted(given)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_answers(path: Path | None) -> dict[int, str]:
    """Item number → what the site says, from YAML; {} for no file. Raises ValueError naming the file and what is no item's number."""
    if path is None:
        return {}
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; --answers takes the {FILE} that `hf-bones site` wrote into its folder, filled in")
    data: Any = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(data, Mapping):
        raise ValueError(f'{path}: expected lines such as `8: "all adults with a wrist film in 2025"`')
    numbers = {item.number for item in ITEMS}
    wrong = [key for key in data if key not in numbers]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is no item of CLAIM; they have the numbers 1 to {len(ITEMS)}")
    return {int(key): " ".join(str(text).split()) for key, text in data.items() if text is not None and str(text).strip()}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
