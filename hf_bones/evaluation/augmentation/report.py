"""The words and tables of the augmentation check: augment_check.md, and a short table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_bones.evaluation.augmentation.measure import Measure, percent
from hf_bones.evaluation.augmentation.transforms import ALONE, BLIND, COUNTER_EXAMPLE
from hf_bones.pages.tables import markdown_table, text_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain, span

if TYPE_CHECKING:
    from hf_bones.evaluation.augmentation.results import AugmentCheck, FilmsFigures


_STRAIGHT = 0.01  # degrees: under the rounding of float32 matrices


def report_text(check: AugmentCheck) -> str:
    """augment_check.md, complete."""
    sections = [
        f"# Does the augmentation of {plain(check.recipe.name)} keep the label?",
        f"**{NOTICE}**",
        f"**{verdict(check)}**",
        bullets(remarks(check)),
        "![Each transform in short](augment_check.png)",
        "## What was looked at",
        bullets(_head(check)),
    ]
    for films in check.sets:
        sections += [f"## {plain(films.name)}", _table(films)]
        if films.worst:
            sections += ["Films that the whole policy takes out of view most often:", _worst(films)]
        if films.sheet:
            sections.append(f"![Contact sheet of before and after]({films.sheet})")
    sections.append(render("evaluation/augmentation/method.md.j2", check=check, criteria=check.criteria, share=percent))
    return "\n\n".join(section for section in sections if section)


def verdict(check: AugmentCheck) -> str:
    """Whether the recipe's policy passes, in one sentence with the figures that it rests on."""
    where = []
    for films in check.sets:
        policy = films.policy()
        span = _span(policy.in_view)
        where.append(f"{percent(policy.in_view.value)}{span} of {policy.draws:,} draws on {films.films:,} films ({plain(films.name)})")
    kept = f"the break stays in view in {', and in '.join(where)}"
    if check.passes:
        bend = max(films.policy().bend[99] for films in check.sets)
        angles = "no angle changes" if bend < _STRAIGHT else f"angles change by up to {bend:.1f}°"
        return f"The policy passes: {kept}; {angles}."
    reasons = [f"{plain(films.name)}: {'; '.join(films.policy().failures)}" for films in check.sets if not films.policy().passes]
    return f"The policy FAILS. {'. '.join(reasons)}."


def remarks(check: AugmentCheck) -> list[str]:
    """What a reader of the verdict should know beside it."""
    said = []
    for films in check.sets:
        weakest = films.weakest()
        if not films.policy().passes and weakest is not None:
            hint = "" if check.recipe.augment.keep_in_view else ", or set keep_in_view to true"
            said.append(
                f"On {plain(films.name)}, {weakest.name} ({weakest.setting}) alone takes the break out of view most often, in "
                f"{percent(1 - weakest.in_view.value)} of the draws: lower it{hint}."
            )
        for example in films.counter_examples():
            failed = (
                f"fails, as it must: {'; '.join(example.failures)}" if example.failures else "PASSES, so that these criteria say little"
            )
            said.append(f"{example.name} ({example.setting}) {failed} ({plain(films.name)}).")
        for blind in (each for each in films.transforms if each.kind == BLIND):
            said.append(
                f"Films without boxes cannot be moved back: there the same policy keeps the break in view in "
                f"{percent(blind.in_view.value)}{_span(blind.in_view)} of the draws, where breaks lie as in {plain(films.name)}."
            )
    if check.turned_off:
        said.append(f"Off in this recipe, and not checked: {', '.join(check.turned_off)}.")
    return said


def short_table(check: AugmentCheck) -> list[str]:
    """The figures in short, for the terminal."""
    lines = []
    for films in check.sets:
        lines.append(f"{films.name}: {films.films:,} films with {films.breaks:,} breaks, {films.policy().draws:,} draws of each transform")
        body = []
        for row in films.transforms:
            contrast = [
                "–" if found is None or row.contrast_low is None else f"{found.value:.2f}"
                for found in (row.contrast_median, row.contrast_low)
            ]
            body.append([row.name, row.setting, percent(row.in_view.value), f"{row.bend[99]:.1f}°", *contrast, row.judged])
        head = ["transform", "", "in view", "angles, 99 %", "contrast, median", "5 %", ""]
        lines += [f"  {line}" for line in text_table(head, body, left=(0, 1, 6))]
        lines.append("")
    return lines


def _table(films: FilmsFigures) -> str:
    head = ["transform", "setting", "break in view", "its size, ×", "angles change by, median / 99 %", "draws within the angle allowed"]
    head += ["contrast after ÷ before, median", "5th percentile", "of draws", "newly black or white", "judged"]
    body = [
        [
            f"**{row.name}**" if row.kind not in (ALONE, COUNTER_EXAMPLE) else row.name,
            row.setting,
            f"{percent(row.in_view.value)}{_span(row.in_view)}",
            f"{row.growth[50]:.2f} ({row.growth[5]:.2f}–{row.growth[95]:.2f})",
            f"{row.bend[50]:.1f}° / {row.bend[99]:.1f}°",
            percent(row.unbent.value),
            _ratio(row.contrast_median),
            _ratio(row.contrast_low),
            f"{row.looked_at:,}",
            "–" if row.clipped is None else f"{100 * row.clipped:.1f} %",
            row.judged,
        ]
        for row in films.transforms
    ]
    return (
        "Intervals are 95 %; of the size, the 5th and 95th percentile of the draws. Contrast is that of draws in view.\n\n"
        + markdown_table(head, body)
    )


def _worst(films: FilmsFigures) -> str:
    body = [[plain(name), percent(share), f"{100 * distance:.1f} %"] for name, share, distance in films.worst]
    return markdown_table(["film", "draws in view", "a box lies this near to the film's edge, of the side"], body)


def _head(check: AugmentCheck) -> list[str]:
    augment = ", ".join(f"{key} {value}" for key, value in vars(check.recipe.augment).items())
    lines = [f"Recipe: {plain(check.recipe.name)}, image_size {check.recipe.model.image_size} px; {plain(augment)}"]
    for films in check.sets:
        labels = ", ".join(f"{count:,} {plain(label)}" for label, count in films.labels.items())
        lines.append(f"{plain(films.name)}: {films.films:,} films ({labels}) with {films.breaks:,} known breaks")
    settings = check.settings
    lines.append(
        f"Draws of each transform on each film: {settings.draws}, of which {settings.looks} measured in pixels; seed {settings.seed}"
    )
    lines.append(f"Films SHA-256: {check.data_sha256[:16]}")
    return lines + command_point(check.command)


def _ratio(measure: Measure | None) -> str:
    return "–" if measure is None else f"{measure.value:.2f}{span(measure.interval, '.2f')}"


def _span(measure: Measure) -> str:
    return "" if measure.interval is None else f" ({percent(measure.interval[0])} – {percent(measure.interval[1])})"
