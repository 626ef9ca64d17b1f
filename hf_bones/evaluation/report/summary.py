"""What a terminal shows of an evaluation: the main figures of each source, baselines beside them, and where the report is."""

from __future__ import annotations

from hf_bones.evaluation.report.baselines import MAJORITY
from hf_bones.evaluation.report.cells import count_cell, few_rows, figure_cell
from hf_bones.evaluation.report.decisions import decided_words
from hf_bones.evaluation.report.figures import SliceFigures
from hf_bones.evaluation.report.markdown import views_told
from hf_bones.evaluation.report.results import Evaluation
from hf_bones.metrics.headlines import TABLE, TITLES


def summary_text(done: Evaluation) -> str:
    """A few lines for people."""
    lines = [f"warning: {warning}" for warning in done.warnings] + views_told(done.mirror, done.zoom)
    shown, others = few_rows((table for table in done.tables if table.kind == "source"), done.least_rows, "source")
    for table in [*(table for table in done.tables if table.kind == "all"), *shown]:
        lines.append(f"{'all rows' if table.kind == 'all' else table.name}, {table.model} (n = {table.n})")
        lines += [f"  {TITLES[key]} {figure_cell(table.figures[key])}" for key in TABLE]
        lines.append(f"  sensitivity {_sensitivities(table)}")
    lines += [others] if others else []
    lines += [f"decisions: {decided_words(done.decisions[0])}"] if done.decisions else []
    lines.append(f"report: {done.report} ({done.page.name} beside it is the same as a page)")
    if done.errors is not None:
        lines.append(f"worst errors: {done.errors}")
    return "\n".join(lines).replace("\\", "")


def right_and_guessed(done: Evaluation) -> tuple[int, int, int]:
    """Of all rows: how many the checkpoint classed right, how many the commonest class alone would have got, and how many there are.

    Raises ValueError for an evaluation without baselines.
    """
    found = {table.model: table for table in done.tables if table.kind == "all"}
    if MAJORITY not in found:
        raise ValueError("no baseline to compare with: evaluate with baselines")
    checkpoint, guess = done.tables[0], found[MAJORITY]
    right, guessed = (sum(table.counts[f"correct_{name}"] or 0 for name in table.supports) for table in (checkpoint, guess))
    return right, guessed, checkpoint.n


def _sensitivities(table: SliceFigures) -> str:
    cells = (
        f"{name} {count_cell(table.counts[f'correct_{name}'], table.figures[f'sensitivity_{name}'], count)}"
        for name, count in table.supports.items()
    )
    return "; ".join(cells)
