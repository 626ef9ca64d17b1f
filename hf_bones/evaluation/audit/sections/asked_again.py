"""The same films after a change: with bones hidden, borders hidden, coarsened, mirrored, in another contrast. Do score and verdict stay?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.changes import AS_IT_IS, FLIPS, MASKED, Change
from hf_bones.evaluation.audit.choices import FLIPS as FLIPS_PART
from hf_bones.evaluation.audit.choices import MASKED as MASKED_PART
from hf_bones.evaluation.audit.plots import draw_examples, plot_lines
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.weighing import figure_words, percent_words, share_of, weighed
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.report.figures import Figure, figures_of
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import Slice
from hf_bones.metrics.figures import Floats, weighted_auroc
from hf_bones.metrics.headlines import TABLE, TITLES
from hf_bones.pages.text import plain

_EXAMPLES = 6
_CHANCE = 0.5  # of AUROC


def masked_part(audited: Audited) -> Section:
    """Scores with bones masked out, with borders and corners masked, and at 256 px."""
    found = _asked(audited, MASKED)
    films = [audited.films.pixels(int(row)) for row in _spread(audited.rows.labels, audited.readable)]
    draw_examples(films, {change.name: change.apply for change in (AS_IT_IS, *MASKED)}, audited.out / "masked_films.png")
    plain_auroc = found[AS_IT_IS.name]["figures"]["auroc_abnormal"]
    bones, borders, coarse = (found[change.name] for change in MASKED)
    said = (
        _without_bones(plain_auroc, bones["figures"]["auroc_abnormal"]),
        _difference_words("With borders and corners black", borders, "What stands there is used", "They are not needed"),
        _difference_words("At 256 px", coarse, "Fine detail is used", "No finer detail is used"),
    )
    return Section(
        MASKED_PART,
        "Hidden and coarsened",
        "Does the score rest on the bones?",
        said,
        (_table(found, with_flips=False),),
        {"masked.png": "AUROC(abnormal) after each change", "masked_films.png": "Films as they are and after each change"},
        data={**found, "rules": {change.name: change.rule for change in MASKED}},
    )


def flips_part(audited: Audited) -> Section:
    """How often the verdict changes when a film is mirrored, turned or shown in another contrast."""
    found = _asked(audited, FLIPS)
    asked = sorted((change for change in FLIPS), key=lambda change: -(found[change.name]["flipped"].value or 0.0))
    worst, best = found[asked[0].name]["flipped"], found[asked[-1].name]["flipped"]
    n = len(audited.rows.labels)
    said = [
        f"The verdict changes most often when a film is {_participle(asked[0])}: {percent_words(worst)} of {n} films; least often when it "
        f"is {_participle(asked[-1])}: {percent_words(best)}."
    ]
    mirrored = found[FLIPS[0].name]["flipped"]
    if asked[0] is not FLIPS[0]:
        said.append(f"Mirrored left to right, which alters no break, {percent_words(mirrored)} of the films get another verdict.")
    return Section(
        FLIPS_PART,
        "Flips and contrast",
        "Does the verdict stay where the answer should?",
        tuple(said),
        (_table(found, with_flips=True),),
        {"flips.png": "Share of films whose verdict changes"},
        data={**found, "rules": {change.name: change.rule for change in FLIPS}},
    )


def _asked(audited: Audited, changes: Sequence[Change]) -> dict[str, dict[str, Any]]:
    """Change → its figures, the difference of its AUROC(abnormal) to the films as they are, and the share of changed verdicts."""
    as_is = audited.rows
    all_rows = Slice("all", "all", np.ones(len(as_is.labels), dtype=bool))
    found: dict[str, dict[str, Any]] = {}
    for change in (AS_IT_IS, *changes):
        rows = as_is if change is AS_IT_IS else audited.scored(audited.answers(change))
        table = figures_of(rows, all_rows, audited.choices.specificity, audited.resampling)
        found[change.name] = {"figures": {key: table.figures[key] for key in TABLE}}
        if change is not AS_IT_IS:
            found[change.name] |= _beside(as_is, rows, audited)
    groups = {"all": {name: own["figures"]["auroc_abnormal"] for name, own in found.items()}}
    if changes is MASKED:
        plot_lines(groups, TITLES["auroc_abnormal"], audited.out / "masked.png", chance=_CHANCE)
    else:
        flips = {name: own["flipped"] for name, own in found.items() if "flipped" in own}
        plot_lines({"all": flips}, "share of films with another verdict", audited.out / "flips.png")
    return found


def _beside(as_is: ScoredRows, rows: ScoredRows, audited: Audited) -> dict[str, Any]:
    abnormal = rows.labels != rows.normal_id

    def loss(weights: Floats) -> Floats:
        own, other = (weighted_auroc(abnormal, 1 - each.probabilities[:, each.normal_id], weights) for each in (rows, as_is))
        return np.asarray(own - other)

    either = int(min(abnormal.sum(), (~abnormal).sum()))
    flipped = np.array(as_is.verdicts) != np.array(rows.verdicts)
    by_class = {
        name: {"films": int((rows.labels == index).sum()), "changed": int(flipped[rows.labels == index].sum())}
        for index, name in enumerate(rows.names)
    }
    return {
        "difference_of_auroc_abnormal": weighed(loss, list(rows.groups), audited.resampling, n=either, of="either kind"),
        "flipped": weighed(share_of(flipped), list(rows.groups), audited.resampling),
        "flipped_by_label": by_class,
    }


def _table(found: Mapping[str, Mapping[str, Any]], *, with_flips: bool) -> Table:
    head = ["films", *(["another verdict", "of which label"] if with_flips else []), *(TITLES[key] for key in TABLE), "difference of AUROC"]
    body = []
    for name, own in found.items():
        cells = [name]
        if with_flips:
            flipped: Figure | None = own.get("flipped")
            cells.append("–" if flipped is None else percent_words(flipped))
            counts = own.get("flipped_by_label", {})
            cells.append("; ".join(f"{plain(label)} {each['changed']} of {each['films']}" for label, each in counts.items()) or "–")
        cells += [figure_cell(own["figures"][key]) for key in TABLE]
        difference = own.get("difference_of_auroc_abnormal")
        cells.append("–" if difference is None else figure_cell(difference))
        body.append(tuple(cells))
    return Table(tuple(head), tuple(body))


def _without_bones(as_is: Figure, hidden: Figure) -> str:
    told = f"With the bones masked out AUROC(abnormal) is {figure_words(hidden)}, on the films as they are {figure_words(as_is)}"
    if hidden.interval is None or hidden.value is None:
        return f"{told}."
    if hidden.interval[0] > _CHANCE:
        return f"{told}: something that is not bone tells the classes apart (chance 0.5)."
    return f"{told}: without bones it is not above chance (0.5)."


def _difference_words(what: str, own: Mapping[str, Any], used: str, not_needed: str) -> str:
    difference: Figure = own["difference_of_auroc_abnormal"]
    auroc = figure_words(own["figures"]["auroc_abnormal"])
    told = f"{what}, AUROC(abnormal) is {auroc}, a difference of {figure_words(difference, form='+.2f')} to the films as they are"
    if difference.interval is None:
        return f"{told}."
    if difference.interval[1] < 0:
        return f"{told}. {used}."
    return f"{told}. {not_needed}, as far as these films tell." if difference.interval[0] <= 0 else f"{told}. It does better so."


def _participle(change: Change) -> str:
    before = {
        "upside down": "turned ",
        "less contrast": "shown with ",
        "more contrast": "shown with ",
        "darker": "made ",
        "brighter": "made ",
    }
    return before.get(change.name, "") + change.name


def _spread(labels: np.ndarray, places: np.ndarray) -> list[int]:
    """Some films of each class, as many of each as there is room for."""
    kinds = np.unique(labels)
    each = max(1, _EXAMPLES // len(kinds))
    return [int(place) for kind in kinds for place in places[labels == kind][:each]]
