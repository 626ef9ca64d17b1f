"""Does augmentation keep the break? What `hf-bones augment-check` finds on films with fracture boxes and on drawn radiographs.

    python scripts/bench/augment.py DATA

Of DATA, with boxes, the training rows are used. Without it only drawn radiographs are looked at. The policy of the defaults goes first,
transform by transform; then the whole policy of the recipe with the strongest zoom.
"""

from __future__ import annotations

from pathlib import Path

from harness import Bar, arguments, bar, write_result

from hf_bones.config.recipe import load_recipe
from hf_bones.evaluation.augmentation.check import check_augmentation
from hf_bones.evaluation.augmentation.choices import AugmentCheckSettings, Criteria
from hf_bones.evaluation.augmentation.films import DRAWN
from hf_bones.evaluation.augmentation.measure import TransformFigures
from hf_bones.evaluation.augmentation.report import remarks, verdict
from hf_bones.evaluation.augmentation.results import FilmsFigures
from hf_bones.evaluation.augmentation.transforms import COUNTER_EXAMPLES, POLICY

RECIPES = ("bundled", "dinov2-small-448")
CRITERIA = Criteria()
CROP, SHEAR = COUNTER_EXAMPLES


def main() -> None:
    parser = arguments(__doc__, needs_data=False)
    parser.add_argument("--out", type=Path, default=Path("runs/augment-check"), help="reports, plots and contact sheets")
    options = parser.parse_args()

    bars: list[Bar] = []
    for recipe in RECIPES[:1] if options.quick else RECIPES:
        settings = (
            AugmentCheckSettings(drawn=8, draws=40, looks=2, limit=20) if options.quick else AugmentCheckSettings(drawn=120, limit=None)
        )
        datasets = [str(options.data)] if options.data else []
        found = check_augmentation(load_recipe(recipe), datasets, options.out / recipe, settings=settings, criteria=CRITERIA)
        print(verdict(found), *remarks(found), sep="\n")
        if not bars:
            data_sha256 = found.data_sha256
        for films in found.sets:
            chosen = films.transforms if recipe == RECIPES[0] else [films.policy()]
            bars += [line for row in chosen for line in transform_bars(row, films, "" if recipe == RECIPES[0] else f" of {recipe}")]
    write_result("augment", "augment.py" + (" DATA" if options.data else ""), data_sha256, bars, quick=options.quick)


def transform_bars(row: TransformFigures, films: FilmsFigures, whose: str) -> list[Bar]:
    """View, angles and contrast of one transform on one set; with the targets of a policy, or of what must miss them."""
    where = f"{'drawn' if films.name == DRAWN else 'real'}, {films.films} films"
    title, count = f"{row.name}{whose}", row.draws
    policy, crop, sheared = row.kind == POLICY, row.name == CROP.name, row.name == SHEAR.name
    view = CRITERIA.in_view if policy or crop else None
    angle = CRITERIA.bend_degrees if policy or sheared else None
    bars = [
        bar(f"{title}: break in view, {where}", row.in_view.value, n=count, interval=row.in_view.interval, target=view, at_most=crop),
        bar(f"{title}: most an angle changes, 99 % of draws, degrees, {where}", row.bend[99], n=count, target=angle, at_most=policy),
    ]
    for figure, contrast in (("median", row.contrast_median), ("5th percentile", row.contrast_low)):
        if contrast is not None:
            least = CRITERIA.contrast if policy and figure != "median" else None
            name = f"{title}: contrast of the break after / before, {figure}, {where}"
            bars.append(bar(name, contrast.value, n=row.looked_at, interval=contrast.interval, target=least))
    return bars


if __name__ == "__main__":
    main()
