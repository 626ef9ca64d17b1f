"""Does an augmentation policy keep the label? Films with known breaks go through each of its transforms, through the whole of it, and
through two counter-examples that must fail.

The measuring is in `measure`, the films in `films`, the words, the plot and the contact sheets beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hf_bones.config.recipe import AugmentConfig, Recipe, RecipeError
from hf_bones.evaluation.augmentation.choices import AugmentCheckSettings, Criteria
from hf_bones.evaluation.augmentation.films import BrokenFilms, DrawnFilms, StoredFilms
from hf_bones.evaluation.augmentation.measure import FilmFigures, measure_film, summarise
from hf_bones.evaluation.augmentation.results import AugmentCheck, FilmsFigures
from hf_bones.evaluation.augmentation.transforms import POLICY, film_draws, transforms_of
from hf_bones.pages.reports import write_report
from hf_bones.record import sha256_rows, write_json
from hf_bones.training.data.augment import AUGMENTATIONS

MARKDOWN, DATA, PLOT = "augment_check.md", "augment_check.json", "augment_check.png"
_WORST = 5


def check_augmentation(
    recipe: Recipe,
    datasets: Sequence[str | Path] = (),
    out: Path | None = None,
    *,
    settings: AugmentCheckSettings | None = None,
    criteria: Criteria | None = None,
    command: str = "",
    progress: bool = True,
) -> AugmentCheck:
    """Checks a recipe's policy on films with known breaks: those of `datasets` (folders of `hf-bones build`, or Hub ids) and drawn ones.

    Writes report, data, plot and contact sheets to `out`, where given. Raises `RecipeError` for a recipe that does not augment, ValueError
    where there is no film to check.
    """
    settings, criteria = settings or AugmentCheckSettings(), criteria or Criteria()
    if not recipe.augment.augment:
        raise RecipeError(f"recipe {recipe.name!r}: augment: false, so there is no policy to check")
    size = recipe.model.image_size
    sets: list[BrokenFilms] = [
        StoredFilms(place, size, split=settings.split, limit=settings.limit, seed=settings.seed) for place in datasets
    ]
    if settings.drawn:
        size_drawn, mode = recipe.data.drawn_size, recipe.data.drawn_mode
        sets.append(DrawnFilms(settings.drawn, size, drawn_size=size_drawn, mode=mode, seed=settings.seed))
    if not sets:
        raise ValueError("no film to check: name a dataset with fracture boxes, or ask for drawn radiographs")
    found = [check_films(films, recipe.augment, size, settings, criteria, progress=progress) for films in sets]
    off = tuple(each.name for each in AUGMENTATIONS if not each.is_on(recipe.augment))
    check = AugmentCheck(recipe, settings, criteria, tuple(found), off, sha256_rows([(each.name, each.sha256) for each in sets]), command)
    if out is not None:
        check = _write(check, sets, out)
    return check


def check_films(
    films: BrokenFilms, policy: AugmentConfig, size: int, settings: AugmentCheckSettings, criteria: Criteria, *, progress: bool = True
) -> FilmsFigures:
    """Every transform of a policy at an input `size` (px), and the counter-examples, on one set of films."""
    transforms = transforms_of(policy)
    measured: list[list[FilmFigures]] = [[] for _ in transforms]
    told = []
    for index in tqdm(range(len(films)), desc=films.name, unit="film", disable=None if progress else True):
        film = films.film(index)
        draws = film_draws(settings.seed, index, settings.draws)
        for own, transform in zip(measured, transforms, strict=True):
            own.append(measure_film(film, transform, size, draws, settings.looks))
        told.append((film.name, film.group, film.label, film.edge_distance, len(film.boxes)))
    names, groups, labels, distances, breaks = zip(*told, strict=True)
    figures = tuple(
        summarise(transform, own, groups, criteria, repeats=settings.repeats, seed=settings.seed)
        for transform, own in zip(transforms, measured, strict=True)
    )
    kept = next(each for each in figures if each.kind == POLICY).film_in_view
    order = [int(place) for place in np.argsort(kept, kind="stable")[:_WORST] if kept[place] < 1]
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    worst = tuple((names[place], float(kept[place]), distances[place]) for place in order)
    return FilmsFigures(films.name, len(films), sum(breaks), counts, figures, worst, _spread_films(distances, settings.sheet_films))


def _spread_films(distances: Sequence[float], count: int) -> tuple[int, ...]:
    """`count` films or fewer, from the one with a break nearest to the edge to one in the middle of the order."""
    order = np.argsort(distances, kind="stable")
    return tuple(dict.fromkeys(int(order[round(share * (len(order) - 1))]) for share in np.linspace(0, 0.5, count)))


def as_data(check: AugmentCheck) -> dict[str, Any]:
    """The check as plain data, for augment_check.json."""
    sets = []
    for each in check.sets:
        rows = [{**asdict(figures), "passes": figures.passes} for figures in each.transforms]
        for row in rows:
            row.pop("film_in_view")
        worst = [{"film": name, "in_view": share, "edge_distance": distance} for name, share, distance in each.worst]
        about = {"name": each.name, "films": each.films, "breaks": each.breaks, "labels": each.labels, "sheet": each.sheet}
        sets.append({**about, "transforms": rows, "worst": worst})
    return {
        "date": check.date,
        "command": check.command,
        "recipe": check.recipe.name,
        "augment": asdict(check.recipe.augment),
        "image_size": check.recipe.model.image_size,
        "settings": asdict(check.settings),
        "criteria": asdict(check.criteria),
        "data_sha256": check.data_sha256,
        "turned_off": list(check.turned_off),
        "passes": check.passes,
        "counter_examples_fail": check.counter_examples_fail,
        "sets": sets,
    }


def _write(check: AugmentCheck, sets: Sequence[BrokenFilms], out: Path) -> AugmentCheck:
    """Report, data, plot and contact sheets; returns the check with the names of its sheets."""
    from hf_bones.evaluation.augmentation.plot import plot_check
    from hf_bones.evaluation.augmentation.report import report_text
    from hf_bones.evaluation.augmentation.sheet import write_sheet

    out.mkdir(parents=True, exist_ok=True)
    found = []
    for number, (films, figures) in enumerate(zip(sets, check.sets, strict=True), start=1):
        name = f"sheet_{number}.png" if check.settings.sheet_films else ""
        if name:
            write_sheet(films, figures, check, out / name)
        found.append(replace(figures, sheet=name))
    check = replace(check, sets=tuple(found))
    plot_check(check, out / PLOT)
    write_json(out / DATA, as_data(check))
    write_report(out / MARKDOWN, report_text(check))
    return check
