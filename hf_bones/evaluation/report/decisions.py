"""Coverage, referral and the error among decided films, as words and as a table: of a calibration and of an evaluation alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.metrics.decisions import REFERRED, ClassDecisions, Share, decisions_by_class
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.text import plain, span


def decisions_of(rows: ScoredRows, resampling: Resampling) -> list[ClassDecisions]:
    """What the predictor decided, over all rows and by class; nothing where its rule leaves no more and no less than one class open."""
    if rows.sets is None or rows.verdicts is None or all(len(left) == 1 for left in rows.sets):
        return []
    place = {name: index for index, name in enumerate(rows.names)}
    verdicts = np.array([place.get(verdict, REFERRED) for verdict in rows.verdicts], dtype=np.int64)
    sets = np.array([[name in left for name in rows.names] for left in rows.sets], dtype=bool)
    return decisions_by_class(
        rows.labels, sets, verdicts, rows.groups, rows.names, rows.normal_id, repeats=resampling.repeats, seed=resampling.seed
    )


def decided_words(decisions: ClassDecisions) -> str:
    """What becomes of the films, in words."""
    wrong = "none decided" if decisions.wrong.value is None else f"{100 * decisions.wrong.value:.1f} % of the decided are wrong"
    return (
        f"{100 * (decisions.decided.value or 0):.0f} % of {decisions.decided.of} films decided, "
        f"{100 * (decisions.referred.value or 0):.0f} % referred; {wrong}; "
        f"{100 * (decisions.covered.value or 0):.0f} % of the sets hold the true class"
    )


def decisions_table(decisions: Sequence[ClassDecisions], normal: str) -> str:
    """Coverage, referral and error of each true class, as Markdown."""
    head = ["true class", "films", "set holds the class", "decided", "referred", "error among the decided"]
    head.append(f"called {plain(normal)} though not")
    body = [
        [plain(each.name), str(each.covered.of), *map(share_cell, (each.covered, each.decided, each.referred, each.wrong, each.missed))]
        for each in decisions
    ]
    return markdown_table(head, body)


def share_cell(found: Share) -> str:
    """`61 of 93: 0.66 (0.55–0.75)`; `–` of no film."""
    if found.value is None:
        return "–"
    return f"{found.count} of {found.of}: {found.value:.2f}{span(found.interval, '.2f')}"
