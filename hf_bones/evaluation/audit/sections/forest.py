"""What size, brightness and borders alone reach: the statistics-only forest beside the checkpoint, on the same films."""

from __future__ import annotations

import hashlib

import numpy as np

from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.choices import FOREST as PART
from hf_bones.evaluation.audit.films import films_of
from hf_bones.evaluation.audit.plots import plot_lines
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.weighing import figure_words, weighed
from hf_bones.evaluation.opinions.stored_arrays import read_arrays, write_arrays
from hf_bones.evaluation.report.baselines import FOREST
from hf_bones.evaluation.report.cells import few_rows, figure_cell
from hf_bones.evaluation.report.figures import CHECKPOINT, SliceFigures, figures_of
from hf_bones.evaluation.report.run import fit_baselines
from hf_bones.evaluation.report.slices import slices_of
from hf_bones.metrics.figures import Floats, weighted_auroc
from hf_bones.metrics.headlines import TABLE, TITLES
from hf_bones.pages.text import plain

PICTURE = "forest.png"


def forest_part(audited: Audited) -> Section:
    """Figures of both on all films and on each source, and the difference of their AUROC(abnormal)."""
    title, asks = "A forest that sees no bone", "Is the model better than size, brightness and borders alone?"
    scores, why = _forest(audited)
    if scores is None:
        return Section(PART, title, asks, missing=(why,))
    rows = audited.rows
    parts = [part for part in slices_of(rows) if part.kind in ("all", "source")]
    models: dict[str, Floats | None] = {CHECKPOINT: None, FOREST: scores}
    tables = [
        figures_of(rows, part, audited.choices.specificity, audited.resampling, model, own)
        for part in parts
        for model, own in models.items()
    ]
    shown, few = few_rows(tables, audited.choices.least_rows, "source", "audit.json")
    body = tuple(
        (
            plain(_name(table)),
            table.model,
            *(figure_cell(table.figures[key]) for key in TABLE),
            str(table.n),
        )
        for table in shown
    )
    abnormal = rows.labels != rows.normal_id

    def gain(weights: Floats) -> Floats:
        own, other = (weighted_auroc(abnormal, 1 - table[:, rows.normal_id], weights) for table in (rows.probabilities, scores))
        return np.asarray(own - other)

    difference = weighed(gain, list(rows.groups), audited.resampling, n=int(min(abnormal.sum(), (~abnormal).sum())), of="either kind")
    said = [_sentence(tables, difference.value, difference.interval, figure_words(difference, form="+.2f"))]
    plot_lines(
        {model: {_name(table): table.figures["auroc_abnormal"] for table in shown if table.model == model} for model in models},
        TITLES["auroc_abnormal"], audited.out / PICTURE, chance=0.5,
    )  # fmt: skip
    return Section(
        PART, title, asks, tuple(said), (Table(("films", "model", *(TITLES[key] for key in TABLE), "n"), body),),
        {PICTURE: "AUROC(abnormal) of the checkpoint and of the forest"}, (few,) if few else (),
        {"figures": tables, "difference_of_auroc_abnormal": difference},
    )  # fmt: skip


def _forest(audited: Audited) -> tuple[Floats | None, str]:
    """The forest's probabilities (N, C) on the readable films, kept on disk; or why there are none."""
    train = audited.data.get("train")
    if train is None or not len(train):
        return None, "the dataset has no train split to fit the forest on"
    if audited.choices.split == "train":
        return None, "the forest would be scored on the films that it was fitted to (split train)"
    films, seed = audited.films, audited.choices.seed
    fitted_to = films_of({"train": train}, "train", audited.scheme, audited.choices.films, seed)
    own = [films.hashes[row] for row in audited.readable]
    fitted_on = [*fitted_to.hashes, *map(str, fitted_to.rows.labels), str(seed)]
    key = hashlib.sha256("\n".join([*own, "fitted on", *fitted_on]).encode())
    path = audited.kept / "forest" / f"{key.hexdigest()[:24]}.npz"
    stored = read_arrays(path, "probabilities")
    if stored is None:
        wanted = films.rows.part.select(audited.readable.tolist())
        fitted, notes = fit_baselines({"train": fitted_to.rows.part}, wanted, audited.scheme, None, seed)
        if FOREST not in fitted:
            return None, " ".join(notes)
        stored = [fitted[FOREST]]
        write_arrays(path, probabilities=fitted[FOREST])
    return stored[0], ""


def _name(table: SliceFigures) -> str:
    return "all films" if table.kind == "all" else table.name


def _sentence(tables: list[SliceFigures], value: float | None, interval: tuple[float, float] | None, words: str) -> str:
    own, forest = (figure_words(table.figures["auroc_abnormal"]) for table in tables[:2])
    told = f"AUROC(abnormal) is {own} for the model and {forest} for a forest that knows only size, brightness and borders"
    if value is None:
        return f"{told}."
    if interval is None:
        return f"{told}; the difference is {words}."
    if interval[0] > 0:
        return f"{told}: the model is ahead (difference {words})."
    if interval[1] < 0:
        return f"{told}: the model is behind (difference {words}). It says less than how the films were made."
    return f"{told}: they have not been told apart (difference {words})."
