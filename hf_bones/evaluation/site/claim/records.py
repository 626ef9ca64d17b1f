"""What the records of a checkpoint and of a site's run say of each item of CLAIM."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_bones.evaluation.site.claim.answers import Known
from hf_bones.evaluation.site.films import SiteFilms
from hf_bones.labels import LabelScheme
from hf_bones.pages.text import NOTICE

_WHO = re.compile(r"label_basis|label(l)?ed_by|annotator|reader|radiologist|label_source", re.IGNORECASE)
_DEVICE = re.compile(r"manufacturer(.?s?.?model.?name)?|device|scanner|detector|kvp|exposure|station.?name|machine", re.IGNORECASE)
_PERSON = re.compile(r"(patient.?)?(age([ _]?years)?|sex|gender)", re.IGNORECASE)
_READER = re.compile(r"(reader|annotator|label|rater).?\d+", re.IGNORECASE)
_SHOWN = 6  # values of a column that are named


@dataclass(frozen=True, eq=False)
class SiteFacts:
    """What this run found, in sentences where it takes more than a number.

    labelled, readable: films. sides: class or side → films. figures, limits, enough: sentences. heat_maps: whether the errors show some.
    """

    films: SiteFilms
    scheme: LabelScheme
    groups: int
    labelled: int
    unlabelled: int
    unreadable: int
    sides: Mapping[str, int]
    words: Mapping[str, tuple[int, str]]
    figures: str
    enough: str
    limits: Sequence[str]
    subgroups: Sequence[str]
    seen: str
    errors_shown: int
    kinds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    command: str = ""


def known_items(
    record: Mapping[str, Any], metrics: Mapping[str, Any], config: Mapping[str, Any], decision: str, site: SiteFacts
) -> dict[int, Known]:
    """Item number → what is known, from a checkpoint's record.json, metrics.json and config.json ({} without one), a sentence on its
    decision rule, and what this run found."""
    return {**_about(config, site), **_data(site), **_reference(site), **_model(record, metrics, config, decision, site), **_results(site)}


def _about(config: Mapping[str, Any], site: SiteFacts) -> dict[int, Known]:
    kind = str(next(iter(config.get("architectures") or ["a neural network"])))
    sources = Counter(row.source for row in site.films.rows)
    where = f"one table, {site.films.table}" if len(sources) < 2 else f"{site.films.table}, of {len(sources)} sources ({_most(sources)})"
    planned = (
        "Retrospective: the labels stood in the table before the model saw the films."
        if site.labelled
        else "No film is labelled: inputs and answers are described, and nothing is measured."
    )
    classes = ", ".join(site.scheme.names)
    return {
        1: Known(f"Said at the top: validation of a deep-learning classifier of radiographs ({kind})."),
        2: Known("The section In short."),
        3: Known(f"The model sorts bone radiographs into {classes}. {NOTICE}"),
        4: Known(
            "To measure how well the model tells abnormal from normal films of this site, and whether "
            "its threshold holds here. No hypothesis was tested."
        ),
        5: Known(planned),
        6: Known("Validation of a finished model on films of one site; nothing of the model was trained on them."),
        7: Known(f"{len(site.films.rows)} films of {site.groups} patients or other groups, from {where}."),
    }


def _data(site: SiteFacts) -> dict[int, Known]:
    films = site.films
    told = (
        f"{len(films.rows) + len(films.left_out)} rows in the table, {site.unreadable} unreadable, "
        f"{len(films.left_out)} left out, {site.unlabelled} without a label."
    )
    device = {name: cells for name, cells in films.columns.items() if _DEVICE.fullmatch(name) and any(cells)}
    views = {
        name: cells
        for name, cells in films.columns.items()
        if name.casefold() in ("view", "projection", "region", "body_part") and any(cells)
    }
    taken = "; ".join([*(f"{name}: {_most(Counter(cells))}" for name, cells in {**site.kinds, **views, **device}.items() if any(cells))])
    return {
        8: Known(
            told,
            "Which patients and films were to be taken, from when to when, in what setting, and "
            "which were left out before the table was written?",
        ),
        9: Known(
            "Each film is opened upright as 8-bit grey (more bits are windowed, MONOCHROME1 inverted), scaled to the "
            "model's input with its aspect kept, and padded."
        ),
        10: Known("Every row of the table, and the whole of each film; no crop was chosen by hand."),
        11: Known(
            "hf_bones reads pixels and how to show them, no patient's tags, and sends nothing.",
            "How were films, names of files and the table de-identified before, and who checked the pixels for names?",
        ),
        12: Known(
            "Films without a label are scored and not measured; unreadable ones are listed and count in no figure. Nothing was imputed."
        ),
        13: Known(taken, "" if device else "With which devices and settings were the films taken?"),
    }


def _reference(site: SiteFacts) -> dict[int, Known]:
    films = site.films
    if not site.labelled:
        none = Known("No film is labelled.", applies=False)
        return dict.fromkeys(range(14, 19), none)
    who = {name: cells for name, cells in films.columns.items() if _WHO.fullmatch(name) and any(cells)}
    by = "; ".join(f"{name}: {_most(Counter(cells))}" for name, cells in who.items())
    meant = "; ".join(f"{word!r} ({count}) counts as {name}" for word, (count, name) in list(site.words.items())[:_SHOWN])
    defined = " ".join(f"{each.name}: {each.definition}" for each in site.scheme.classes)
    column = f"Labels stand in the column {films.labelled_by!r}." if films.labelled_by else "Labels stand in several columns."
    asked = "Who labelled the films, how experienced, from what (film, report, follow-up, CT), and were they blind to the model?"
    return {
        14: Known(f"{meant}. The model's classes: {defined}"),
        15: Known("", "Why is this the right standard: what would be better, and why was it not used?"),
        16: Known(by, "" if by else asked),
        17: Known(f"{column} {by}".strip(), "" if by else "How were these films labelled: by whom, with which tool, with what help?"),
        18: Known(_agreement(films)),
    }


def _model(
    record: Mapping[str, Any], metrics: Mapping[str, Any], config: Mapping[str, Any], decision: str, site: SiteFacts
) -> dict[int, Known]:
    nobody = "The checkpoint has no record of this: ask whoever trained it."
    data, recipe = record.get("data") or {}, record.get("recipe") or {}
    counts = data.get("counts") or {}
    dealt = "; ".join(f"{split}: " + ", ".join(f"{count} {name}" for name, count in every.items()) for split, every in counts.items())
    layers = [f"{name} {config[name]}" for name in ("image_size", "num_hidden_layers", "hidden_size", "patch_size") if name in config]
    kind = ", ".join(map(str, config.get("architectures") or ["a transformers image classifier"]))
    software = ", ".join(f"{name} {version}" for name, version in ((record.get("environment") or {}).get("packages") or {}).items())
    started = " ".join(str(record[key]) for key in ("base_model", "base_model_id") if record.get(key))
    training, augment = recipe.get("training") or {}, recipe.get("augment") or {}
    settings = {name: training[name] for name in ("epochs", "learning_rate", "batch_size", "loss", "seed") if name in training}
    turned_on = [name for name, value in augment.items() if value not in (0, 0.0, None, False, 1.0) and name != "augment"]
    chosen = (record.get("candidates") or {}).get("chosen_by") or (
        [f"recipe key choose_by: {training['choose_by']}"] if training.get("choose_by") else []
    )
    distilled = record.get("distillation") or {}
    taught = (
        f" It learnt from the probabilities of "
        f"{len(distilled.get('teachers') or []) + len(distilled.get('probability_files') or [])} teacher files."
        if distilled
        else ""
    )

    def of(text: str) -> Known:
        return Known(text, "" if text else nobody)

    return {
        19: of(f"All films of this table are for test. The model's own parts, dealt out by whole groups: {dealt}." if dealt else ""),
        20: Known(site.seen, "" if site.films.grouped else "Which films are of the same patient? Give a column `patient` (a pseudonym)."),
        21: Known(site.enough),
        22: Known(f"{kind}: {', '.join(layers) or 'as its config.json says'}. Output: {', '.join(site.scheme.names)}. {decision}"),
        23: of(software),
        24: of(started),
        25: of(f"Recipe {recipe.get('name')}: {settings}; augmentation: {', '.join(turned_on) or 'none'}." if recipe else ""),
        26: of("; ".join(map(str, chosen))),
        27: Known(f"None: one network, each film scored once.{taught}"),
        32: of(_internal(record, metrics)),
    }


def _results(site: SiteFacts) -> dict[int, Known]:
    person = {name: cells for name, cells in site.films.columns.items() if _PERSON.fullmatch(name) and any(cells)}
    people = "; ".join(f"{name}: {_spread(cells)}" for name, cells in person.items())
    sides = ", ".join(f"{count} {name}" for name, count in site.sides.items())
    measured = bool(site.labelled)
    nothing = Known("No film is labelled.", applies=False)
    return {
        28: Known(
            "AUROC(abnormal), sensitivity, specificity, predictive values and referrals at the "
            "decision rule, ECE, Brier score, log loss, net benefit."
        ),
        29: Known(
            "95 % percentile intervals from a bootstrap over patients or other groups; no interval where "
            "too few hold a figure up. No test of significance."
        ),
        30: Known(
            f"Figures of subgroups "
            f"({', '.join(site.subgroups) or 'the table has no column that makes any'}), and at a threshold refitted out of fold."
        ),
        31: Known(
            "Heat maps of the worst errors."
            if site.errors_shown
            else "No heat map is in this report; `hf-bones predict --heatmaps` writes them."
        ),
        33: Known(site.figures) if measured else nothing,
        34: Known("No trial: no patient's care was changed by the study.", applies=False),
        35: Known(
            f"{site.groups} patients or other groups with {len(site.films.rows)} films ({sides or 'none labelled'}); "
            f"{site.unreadable} unreadable, {site.unlabelled} without a label."
        ),
        36: Known(
            f"{sides or 'no labels'}. {people}".strip(),
            "" if people else "How old are the patients, and of which sex? Give columns `age` and `sex`.",
        ),
        37: Known("The sections Figures, Subgroups and Calibration.") if measured else nothing,
        38: Known(site.figures) if measured else nothing,
        39: Known(
            f"The {site.errors_shown} worst errors, with heat maps."
            if site.errors_shown
            else "Wrong calls are counted by subgroup; films.csv names each."
        )
        if measured
        else nothing,
        40: Known(" ".join(site.limits) or "One site, and labels as the table has them."),
        41: Known("The model is for research and teaching. This report says what it does on these films, not what it would do in care."),
        42: Known(f"How the figures were made stands at the end. Command: {site.command or 'not recorded'}."),
        43: Known(
            "hf_bones is open source (Apache-2.0); the checkpoint is named with its hash above; "
            "site.json has every figure. The films stay with the site."
        ),
        44: Known("", "Who funded the study, and what part did they take in it?"),
    }


def _internal(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    whole = next((table for table in metrics.get("slices") or [] if table.get("kind") == "all"), None)
    if whole is not None:
        area = whole["figures"]["auroc_abnormal"]
        span = f" ({area['interval'][0]:.2f}–{area['interval'][1]:.2f})" if area.get("interval") else ""
        return f"AUROC(abnormal) {area['value']:.2f}{span} on {whole['n']} films of split {metrics['dataset']['split']} of its own data."
    validation = (record.get("metrics") or {}).get("validation") or {}
    if "auroc_abnormal" in validation:
        return f"AUROC(abnormal) {validation['auroc_abnormal']:.2f} on {validation['n']} films of its own validation."
    return ""


def _agreement(films: SiteFilms) -> str:
    readers = [name for name in films.columns if _READER.fullmatch(name)]
    if len(readers) < 2:
        return "Not measured: the table holds one label a film."
    from sklearn.metrics import cohen_kappa_score

    one, other = (films.columns[name] for name in readers[:2])
    both = [(a, b) for a, b in zip(one, other, strict=True) if a and b]
    if len({word for pair in both for word in pair}) < 2:
        return f"Columns {readers[0]} and {readers[1]} hold one word alone for the {len(both)} films that both have."
    kappa = cohen_kappa_score([a for a, _ in both], [b for _, b in both])
    return f"Cohen's kappa of {readers[0]} and {readers[1]}: {kappa:.2f} on {len(both)} films."


def _most(counts: Mapping[str, int]) -> str:
    """`JPEG 118, PNG 2`, the most frequent first; blank cells as "not stated"."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    more = ", …" if len(ranked) > _SHOWN else ""
    return ", ".join(f"{word or 'not stated'} {count}" for word, count in ranked[:_SHOWN]) + more


def _spread(cells: Sequence[str]) -> str:
    try:
        ranked = sorted(float(cell.rstrip("Yy").replace(",", ".")) for cell in cells if cell)
    except ValueError:
        return _most(Counter(cells))
    if len(set(ranked)) < 3:
        return _most(Counter(cells))
    return f"median {ranked[len(ranked) // 2]:g}, {ranked[0]:g} to {ranked[-1]:g}"
