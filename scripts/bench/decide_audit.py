"""Would an audit find wrong labels? Some labels of train and validation are changed and looked for among the suspects: a part of decide.py.

    python scripts/bench/decide_audit.py data --cache features

`--cache` keeps the features of the films, which take the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import Bar, arguments, bar, print_bars, work_folder

from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.choices import LABELS, AuditChoices
from hf_bones.evaluation.audit.results import Section
from hf_bones.evaluation.audit.sections.labels import labels_part
from hf_bones.evaluation.report.figures import Figure
from hf_bones.evaluation.report.run import load_splits
from hf_bones.inference.predictor import BonePredictor

PRECISION_TARGET = 0.5


def bars(data: Path, *, model: str = "bundled", cache: Path | None = None, quick: bool = False) -> list[Bar]:
    """Precision among the top 5 % suspects and the share of the planted errors that is found there; then what looking at fewer or more
    films finds. `data`: a folder that `hf-bones build` wrote."""
    choices = AuditChoices(only=(LABELS,), quick=quick, cache=cache)
    with work_folder() as work:
        audited = Audited(model, BonePredictor.from_pretrained(model), load_splits(data), work, choices)
        found = labels_part(audited)
    return _bars(model, found, choices.label_errors)


def _bars(model: str, found: Section, planted: float) -> list[Bar]:
    if not found.said:
        raise SystemExit(f"planted label errors were not measured: {'; '.join(found.missing)}")
    figures: dict[str, Any] = dict(found.data)
    share, films = f"{100 * planted:g} %", figures["films"]
    precision: Figure = figures["precision"]
    caught: Figure = figures["found"]
    lines = [
        bar(f"planted label errors, precision among the top {share} suspects", precision.value or 0.0, n=films,
            interval=precision.interval, target=PRECISION_TARGET),
        bar(f"planted label errors found among the top {share} suspects", caught.value or 0.0, n=figures["planted"],
            interval=caught.interval),
    ]  # fmt: skip
    for point in figures["looked_at"]:
        if point["share"] != planted:
            title = f"planted label errors found by looking at {100 * point['share']:g} % of the films"
            lines.append(bar(title, point["planted"] / figures["planted"], n=point["films"]))
    return lines


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="bundled", help="`bundled`, a checkpoint folder or a Hub id")
    parser.add_argument("--cache", type=Path, help="folder in which features are kept")
    given = parser.parse_args()
    print_bars(bars(given.data, model=given.model, cache=given.cache, quick=given.quick))


if __name__ == "__main__":
    main()
