"""Validates a checkpoint on a site's own films: what `hf-bones site` does. Nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hf_bones.dataset.reading.listed.table_rows import word_map
from hf_bones.evaluation.decision_curve import decision_curve
from hf_bones.evaluation.report.cautions import cautions
from hf_bones.evaluation.report.figures import Resampling, figures_of
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import Slice
from hf_bones.evaluation.seen import seen_words
from hf_bones.evaluation.site.choices import SiteChoices
from hf_bones.evaluation.site.claim.answers import answers, read_answers
from hf_bones.evaluation.site.claim.facts import known_of
from hf_bones.evaluation.site.drift.comparison import compare_sites, read_site
from hf_bones.evaluation.site.drift.measures import baseline, measure
from hf_bones.evaluation.site.enough import enough_films
from hf_bones.evaluation.site.films import SiteFilms, read_films
from hf_bones.evaluation.site.operating import called, operating_shares
from hf_bones.evaluation.site.refit import Refit, refit_site
from hf_bones.evaluation.site.results import Measured, Setup, SiteFindings, SiteRun
from hf_bones.evaluation.site.scoring import ScoredFilms, score_films
from hf_bones.evaluation.site.subgroups import grouping_columns, subgroup_figures
from hf_bones.evaluation.site.truth import Truth, read_truth
from hf_bones.evaluation.site.writing import site_data, write_site
from hf_bones.images.opening import open_image
from hf_bones.inference.checkpoint import weights_digest
from hf_bones.metrics import SPECIFICITY
from hf_bones.record import public_name

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

_CURVE_REPEATS = 200


def validate_site(
    table: str | Path,
    model: str | Path | BonePredictor,
    out_dir: str | Path,
    choices: SiteChoices = SiteChoices(),  # noqa: B008 - frozen
    *,
    command: str = "",
) -> SiteRun:
    """Scores the films of `table` with `model` ("bundled", a folder, a Hub id or a predictor) and writes the report into `out_dir`.

    Written: report.html, which needs nothing beside it, and report.md; site.json; films.csv, one row a film; plots; claim.yaml, the open
    questions; decision.json where a threshold could be refitted. Files of these names are replaced. Films without a label are scored and
    not measured; unreadable ones are listed. Raises ValueError for a table, a label or an earlier site.json that cannot be used.
    """
    path = Path(table).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a table of films, with a line such as file,label above them")
    earlier = read_site(choices.compare) if choices.compare is not None else None
    said = read_answers(choices.answers)
    predictor = _load(model, choices)
    films = read_films(path, choices, predictor.scheme)
    truth = read_truth([row.label for row in films.rows], predictor.scheme, word_map(choices.label_map))
    scored = score_films(predictor, films, choices.batch_size)
    readable = [index for index, finding in enumerate(scored.findings) if finding.readable]
    if not readable:
        reasons = scored.findings[0].reasons if scored.findings else ("no row is left",)
        raise ValueError(f"{films.table}: none of its {len(films.rows)} films can be read; the first: {'; '.join(reasons)}")
    where = [index for index in readable if truth.labels[index] >= 0]
    columns, passed = grouping_columns({**films.columns, **scored.kinds}, range(len(films.rows)))
    resampling = Resampling(repeats=choices.repeats, seed=choices.seed)
    measured = _measured(predictor, films, scored, truth, where, columns, choices, resampling) if where else None
    sides = [truth.names[label] if label >= 0 else "" for label in truth.labels]
    kept = baseline(measure(scored, predictor.scheme.normal, sides, columns, films.groups))
    setup = Setup(
        checkpoint=public_name(predictor.checkpoint),
        revision=predictor.revision,
        digest=predictor.revision or _digest(predictor),
        calibrated=predictor.calibrated,
        command=command,
    )
    warned = tuple(_cautions(films, scored, truth, measured))
    divided = () if measured is None else tuple(dict.fromkeys(each.column for each in measured.subgroups))
    known = known_of(predictor, films, scored, truth, measured, divided, warned, setup, choices.worst)
    found = SiteFindings(
        setup,
        choices,
        films,
        scored,
        truth,
        measured,
        passed,
        answers(known, said),
        None,
        warned,
        (*films.notes, *scored.notes),
    )
    data = site_data(found, kept)
    comparison = compare_sites(earlier, data, choices.seed) if earlier is not None else None
    return write_site(found, data, comparison, said, predictor.decision, Path(out_dir))


def _load(model: str | Path | BonePredictor, choices: SiteChoices) -> BonePredictor:
    if not isinstance(model, (str, Path)):
        return model
    from hf_bones.inference.predictor import BonePredictor

    return BonePredictor.from_pretrained(model, revision=choices.revision, device=choices.device)


def _digest(predictor: BonePredictor) -> str:
    try:
        return weights_digest(predictor.checkpoint)
    except (OSError, ValueError):  # a predictor that was made in memory
        return ""


def _measured(
    predictor: BonePredictor,
    films: SiteFilms,
    scored: ScoredFilms,
    truth: Truth,
    where: Sequence[int],
    columns: dict[str, list[str]],
    choices: SiteChoices,
    resampling: Resampling,
) -> Measured:
    """All figures of the films at `where`, which are readable and labelled."""
    scheme = predictor.scheme
    rows = _rows(predictor, films, scored, truth, where)
    given = np.array([[scored.findings[index].probabilities[name] for name in scheme.names] for index in where])
    labels, abnormal = rows.labels, rows.labels != rows.normal_id
    groups = [films.groups[index] for index in where]
    calls = called([scored.findings[index].verdict for index in where], scheme.normal, scheme.names)
    whole = Slice("all", "all", np.ones(len(labels), dtype=bool))
    table = figures_of(rows, whole, SPECIFICITY, resampling)
    shipped = operating_shares(abnormal, calls, groups, resampling)
    logits = np.log(np.clip(given, 1e-12, None))  # calibrated, but for a number of each film's own that no softmax sees
    fitted = refit_site(
        logits, labels, groups, scheme.normal_id, by_class=truth.by_class, sensitivity=choices.sensitivity, seed=choices.seed
    )
    refitted = refitted_table = None
    curves = {"as shipped": 1 - rows.probabilities[:, rows.normal_id]}
    if isinstance(fitted, Refit):
        again = truth.of_classes(fitted.probabilities, scheme.normal_id)
        refitted = operating_shares(abnormal, fitted.calls, groups, resampling)
        refitted_table = figures_of(rows, whole, SPECIFICITY, resampling, "refitted", again)
        curves["temperature refitted"] = 1 - again[:, rows.normal_id]
    both = 0 < abnormal.sum() < len(abnormal)
    own = {name: [cells[index] for index in where] for name, cells in columns.items()}
    supports = {"abnormal": int(abnormal.sum()), "normal": int((~abnormal).sum())}
    return Measured(
        rows=rows,
        where=where,
        table=table,
        shipped=shipped,
        refit=fitted,
        refitted=refitted,
        refitted_table=refitted_table,
        subgroups=subgroup_figures(rows, calls, {name: cells for name, cells in own.items() if len(set(cells)) > 1}, resampling),
        curve=decision_curve(abnormal, curves, groups, repeats=min(choices.repeats, _CURVE_REPEATS), seed=choices.seed) if both else None,
        enough=enough_films(shipped, table.figures["auroc_abnormal"], supports),
    )


def _rows(predictor: BonePredictor, films: SiteFilms, scored: ScoredFilms, truth: Truth, where: Sequence[int]) -> ScoredRows:
    """The labelled, readable films as every report takes them."""
    names, normal_id = predictor.scheme.names, predictor.scheme.normal_id

    def table(which: str) -> Any:
        return truth.of_classes(np.array([[getattr(scored.findings[i], which)[name] for name in names] for i in where]), normal_id)

    def pixels(row: int) -> Any:
        return open_image(str(films.rows[where[row]].file)).pixels

    def heat_maps(rows: Sequence[int], classes: Sequence[str]) -> Any:
        return predictor.explain([pixels(row) for row in rows], classes if truth.by_class else None)

    return ScoredRows(
        names=truth.names,
        normal_id=truth.normal_id,
        labels=truth.labels[list(where)],
        probabilities=table("probabilities"),
        raw_probabilities=table("raw_probabilities"),
        groups=[films.groups[index] for index in where],
        sources=[films.rows[index].source for index in where],
        regions=[films.rows[index].region for index in where],
        image_ids=[films.names[index] for index in where],
        verdicts=[scored.findings[index].verdict for index in where],
        subtypes=[films.rows[index].subtype for index in where],
        boxes=[films.rows[index].boxes for index in where],
        seen=scored.seen.of(where),
        image=lambda row: Image.fromarray(pixels(row)),
        heat_maps=heat_maps,
    )


def _cautions(films: SiteFilms, scored: ScoredFilms, truth: Truth, measured: Measured | None) -> list[str]:
    """Why the figures say little, or too much."""
    found = list(truth.cautions)
    if measured is None:
        return [*found, "No readable film has a label: the answers are described, and nothing is measured."]
    rows = measured.rows
    found += cautions(rows, [])
    if not films.grouped:
        found.append("The table does not say which films are of one patient, so intervals are too narrow. Give a column `patient`.")
    if missing := [name for name, count in rows.supports().items() if not count]:
        found.append(f"No film is labelled {' or '.join(missing)}, so nothing can be said of these.")
    if told := seen_words(rows.seen):
        found.append(f"{told}: the figures of all films flatter the model.")
    lone = _one_sided(rows)
    if lone:
        found.append(
            f"Films of {', '.join(lone)} are all of one side, so that a model can score by "
            f"telling sources apart. Read each source by itself."
        )
    hashes = [scored.hashes[index] for index in measured.where]
    twice = len(hashes) - len(set(hashes))
    if twice:
        torn = _torn(hashes, rows.labels.tolist())
        also = f", {torn} of them under two labels" if torn else ""
        found.append(f"{twice} films are in the table more than once, byte for byte{also}. Each row counts.")
    return found


def _one_sided(rows: ScoredRows) -> list[str]:
    """Sources whose films are all normal or all abnormal, where there are several sources."""
    sides: dict[str, set[bool]] = {}
    for source, label in zip(rows.sources, rows.labels, strict=True):
        sides.setdefault(source or "no stated source", set()).add(bool(label != rows.normal_id))
    return sorted(name for name, own in sides.items() if len(own) == 1) if len(sides) > 1 else []


def _torn(hashes: Sequence[str], labels: Sequence[int]) -> int:
    """How many files stand under two labels."""
    said: dict[str, set[int]] = {}
    for digest, label in zip(hashes, labels, strict=True):
        said.setdefault(digest, set()).add(label)
    return sum(len(own) > 1 for own in said.values())
