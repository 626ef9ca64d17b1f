"""Leave-one-source-out of heads on the frozen features: each source is scored by a head that saw no film of it.

The same sources and figures as `hf-bones compare --leave-one-source-out`, where whole recipes are trained instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.evaluation.audit.audited import OPEN, Audited
from hf_bones.evaluation.audit.choices import LEFT_OUT
from hf_bones.evaluation.audit.plots import plot_lines
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.weighing import figure_words
from hf_bones.evaluation.compare.left_out import held_out_places, source_result
from hf_bones.evaluation.compare.left_out_results import HeldOut, SourceResult
from hf_bones.evaluation.compare.scores import SplitRows, split_rows
from hf_bones.evaluation.opinions.out_of_fold import TooFewGroupsError, judged, out_of_fold
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.metrics.by_source import named_sources
from hf_bones.metrics.figures import Floats
from hf_bones.metrics.headlines import TITLES
from hf_bones.pages.text import plain

PICTURE = "left_out.png"
_SETTINGS = OpinionSettings(repeats=1, strengths=[3e-3])
WITHOUT, WITH = "without the source", "with it"


def left_out_part(audited: Audited) -> Section:
    """Each source by a head that saw the others alone, beside one that saw other groups of all sources."""
    title, asks = "Each source held out", "Does it hold on films from elsewhere?"
    films = audited.open_films
    if films is None:
        return Section(LEFT_OUT, title, asks, missing=(f"the dataset has no films of {OPEN}",))
    kept = audited.features.kept
    rows = split_rows({OPEN: films.rows.part.select(kept.tolist())}, OPEN, audited.scheme)
    features = audited.features.values[kept]
    places = held_out_places(rows)
    if len(places) < 2:
        return Section(LEFT_OUT, title, asks, missing=(f"the films of {OPEN} are of {len(places)} source (column `source`); it takes two",))
    names = named_sources(rows.sources)
    try:
        with_it = out_of_fold(features, rows.labels, rows.groups, audited.scheme.names, _SETTINGS, normal_id=audited.scheme.normal_id)
    except TooFewGroupsError as error:
        return Section(LEFT_OUT, title, asks, missing=(str(error),))
    found, missing = [], []
    for name, (own, shared) in places.items():
        others = np.flatnonzero(names != name)
        normal = rows.labels[others] == rows.scheme.normal_id
        if normal.all() or not normal.any():
            missing.append(f"{plain(name)}: the other sources hold {'only' if normal.any() else 'no'} films of {plain(rows.scheme.normal)}")
            continue
        scores = judged(features[others], rows.labels[others], features[own], len(rows.scheme.names), 3e-3, _SETTINGS.class_weights)
        found.append(_both(rows, own, shared, name, scores, with_it, audited))
    body = []
    for apart, known in found:
        cells = [figure_cell(figure) for figure in (apart.recall, apart.specificity, apart.auroc, known.auroc)]
        body.append((plain(apart.source), *cells, f"{apart.normal} / {apart.abnormal}"))
    auroc = TITLES["auroc_abnormal"]
    head = ("source held out", "recall of abnormal", "specificity", auroc, f"{auroc}, source known", "normal / abnormal")
    pictures = {}
    if any(apart.auroc.value is not None for apart, _ in found):
        series = {WITHOUT: {apart.source: apart.auroc for apart, _ in found}, WITH: {known.source: known.auroc for _, known in found}}
        plot_lines(series, auroc, audited.out / PICTURE, chance=0.5)
        pictures = {PICTURE: "AUROC(abnormal) on each source, by heads that did not see it and that did"}
    if audited.flattered:
        missing.append(f"The features themselves are not of other sources alone. {audited.flattered}")
    data = {apart.source: {WITHOUT: _data(apart), WITH: _data(known)} for apart, known in found}
    tables = (Table(head, tuple(body)),) if body else ()
    return Section(LEFT_OUT, title, asks, (_sentence(found),), tables, pictures, tuple(missing), data)


def _both(
    rows: SplitRows, own: npt.NDArray[np.int64], shared: int, name: str, without: Floats, with_it: Floats, audited: Audited
) -> tuple[SourceResult, SourceResult]:
    held_out = HeldOut(name, split_rows({OPEN: rows.part.select(own.tolist())}, OPEN, rows.scheme), shared)
    return source_result(held_out, [without], audited.resampling), source_result(held_out, [with_it[own]], audited.resampling)


def _data(result: SourceResult) -> dict[str, object]:
    keys = ("normal", "abnormal", "recall", "specificity", "auroc", "score", "interval")
    return {key: getattr(result, key) for key in keys}


def _sentence(found: list[tuple[SourceResult, SourceResult]]) -> str:
    scored = [(apart, known) for apart, known in found if apart.score is not None]
    if not scored:
        return "No source that was held out has films enough to score."
    mean = float(np.mean([apart.score for apart, _ in scored if apart.score is not None]))
    with_it = float(np.mean([known.score for _, known in scored if known.score is not None]))
    worst = min((apart for apart, _ in scored), key=lambda each: each.score or 0.0)
    told = (
        f"Mean over {len(scored)} source{'s' * (len(scored) != 1)} of recall and specificity: {mean:.2f} by heads that saw no film of the "
        f"source, {with_it:.2f} by heads that did; worst {plain(worst.source)}, {worst.score or 0.0:.2f}"
    )
    pair = [(apart, known) for apart, known in scored if apart.auroc.value is not None]
    if pair:
        apart, known = max(pair, key=lambda each: each[0].normal + each[0].abnormal)
        told += f". On {plain(apart.source)} AUROC(abnormal) is {figure_words(apart.auroc)} without, {figure_words(known.auroc)} with"
    return f"{told}."
