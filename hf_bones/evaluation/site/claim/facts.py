"""Gathers for CLAIM's items what this run found and what the checkpoint's files say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.seen import seen_words
from hf_bones.evaluation.site.claim.answers import Known
from hf_bones.evaluation.site.claim.records import SiteFacts, known_items
from hf_bones.evaluation.site.films import SiteFilms
from hf_bones.evaluation.site.results import Measured, Setup
from hf_bones.evaluation.site.scoring import ScoredFilms
from hf_bones.evaluation.site.truth import Truth
from hf_bones.inference.checkpoint import CONFIG_FILE, RECORD_FILE, find_checkpoint
from hf_bones.metrics.headlines import TITLES
from hf_bones.record import read_json

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

_METRICS_FILE = "metrics.json"


def known_of(
    predictor: BonePredictor,
    films: SiteFilms,
    scored: ScoredFilms,
    truth: Truth,
    measured: Measured | None,
    columns: Sequence[str],
    cautions: Sequence[str],
    setup: Setup,
    worst: int,
) -> dict[int, Known]:
    """Item number → what the checkpoint's files and this run say of it."""
    record, metrics, config = _files_of(predictor)
    read = [finding.readable for finding in scored.findings]
    labelled = int((truth.labels >= 0).sum())
    wrong = 0 if measured is None else int((measured.rows.predicted != measured.rows.labels).sum())
    facts = SiteFacts(
        films=films,
        scheme=predictor.scheme,
        groups=len(set(films.groups)),
        labelled=labelled,
        unlabelled=len(films.rows) - labelled,
        unreadable=len(read) - sum(read),
        sides={} if measured is None else measured.rows.supports(),
        words=truth.words,
        figures="" if measured is None else figures_sentence(measured),
        enough=enough_sentence(measured),
        limits=cautions,
        subgroups=columns,
        seen=_seen_sentence(films, scored),
        errors_shown=min(worst, wrong),
        kinds=scored.kinds,
        command=setup.command,
    )
    decision = predictor.decision
    thresholds = "with a threshold for each class" if decision.thresholds else "the likeliest class is the verdict"
    how = (
        f"Decision rule: temperature {decision.temperature:.3g}, {thresholds}."
        if predictor.calibrated
        else "It has no decision rule; nothing is calibrated."
    )
    return known_items(record, metrics, config, how, facts)


def figures_sentence(measured: Measured) -> str:
    """AUROC, sensitivity, specificity and referrals at the shipped decision, in one sentence."""
    shown = "; ".join(f"{key} {measured.shipped[key].cell()}" for key in ("sensitivity", "specificity", "referred"))
    return f"{TITLES['auroc_abnormal']} {figure_cell(measured.table.figures['auroc_abnormal'])}; at the shipped decision {shown}.".replace(
        "\\", ""
    )


def enough_sentence(measured: Measured | None) -> str:
    """How many films were asked for: none by a plan, since the table was there; and how wide the intervals came out."""
    if measured is None:
        return ""
    widths = ", ".join(f"{each.name} ± {each.half_width:.2f}" for each in measured.enough if each.half_width is not None)
    return (
        f"All labelled films of the table; no number was planned by this command. Half widths of "
        f"the intervals: {widths or 'none could be had'}."
    )


def _seen_sentence(films: SiteFilms, scored: ScoredFilms) -> str:
    if scored.seen.how is None:
        told = "Whether the checkpoint had any of these films before is not known: it has no list of films seen."
    else:
        told = (
            f"{seen_words(scored.seen)}."
            if seen_words(scored.seen)
            else "None of these films was seen in training, by the checkpoint's list of films."
        )
    return f"{told} Figures are resampled by patient or other group." if films.grouped else told


def _files_of(predictor: BonePredictor) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """record.json, metrics.json and config.json of the predictor's checkpoint; {} for what is not there."""
    try:
        folder = find_checkpoint(predictor.checkpoint, predictor.revision).folder
    except ValueError:  # a predictor that was made in memory
        return {}, {}, predictor.model.config.to_dict()
    files = (folder / name for name in (RECORD_FILE, _METRICS_FILE, CONFIG_FILE))
    record, metrics, config = (read_json(path) if path.is_file() else {} for path in files)
    return record, metrics, config
