"""The words and tables of the resolution report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_bones.metrics.headlines import ALONE, TITLES
from hf_bones.pages.tables import markdown_table, text_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain, span

if TYPE_CHECKING:
    from hf_bones.evaluation.resolution.results import Resolution, Shapes, SizeMeasurements
    from hf_bones.evaluation.resolution.shapes import Letterboxing

# Below this share of its threads' time, a process had to wait for others.
_UNDISTURBED = 0.85


def report_text(found: Resolution, command: str) -> str:
    """report.md, complete."""
    measured, shapes = found.measured, found.shapes
    sections = [f"# Which size to train at: {plain(found.data)}", f"**{NOTICE}**"]
    if measured is not None:
        sections += [f"**{advice_sentence(measured)}**", "Beside it:", bullets(map(plain, caveats(found)))]
    else:
        sections.append("Sizes alone say what is lost, not how much it matters: `--measure` cross-validates at each candidate size.")
    sections += [
        "## What was looked at",
        _head(found, command),
        "## Sizes",
        _clusters(shapes),
        "![Sizes and their clusters](sizes.png)",
        "![The elbow](elbow.png)",
    ]
    sections += ["## What scaling does", _letterboxing(shapes)]
    if measured is not None:
        sections += ["## What each size is worth", "![Accuracy against cost](accuracy.png)", _figures(measured)]
        sections += ["## What an image costs", _costs(measured, shapes)]
    return "\n\n".join([*sections, _method(found)])


def advice_sentence(measured: SizeMeasurements) -> str:
    """The advice, in one sentence with the figures that it rests on."""
    choice = measured.choice
    rows, costs = {row.size: row for row in measured.figures}, {cost.size: cost for cost in measured.costs}
    advised, best = rows[choice.advised], rows[choice.best]
    spent = f"{costs[advised.size].milliseconds:.0f} ms and {costs[advised.size].training_mb:.0f} MB an image"
    if choice.advised == choice.best:
        cheaper = [row.size for row in measured.figures if costs[row.size].milliseconds < costs[best.size].milliseconds]
        reason = f"no cheaper size is within one standard error ({choice.standard_error:.3f}) of it" if cheaper else "no size is cheaper"
        return f"Train at {best.size} px: its balanced accuracy is the best ({best.balanced_accuracy:.3f}), and {reason}; {spent}."
    return (
        f"Train at {advised.size} px: its balanced accuracy ({advised.balanced_accuracy:.3f}) is within one standard error "
        f"({choice.standard_error:.3f}) of the best ({best.balanced_accuracy:.3f} at {best.size} px), at {spent} instead of "
        f"{costs[best.size].milliseconds:.0f} ms and {costs[best.size].training_mb:.0f} MB."
    )


def caveats(found: Resolution) -> list[str]:
    """What a reader of the advice should know beside it."""
    measured = found.measured
    assert measured is not None, "there is no advice without measuring"
    rows, shapes, choice = {row.size: row for row in measured.figures}, found.shapes, measured.choice
    said = []
    behind = rows[choice.advised].behind_best_interval
    if choice.advised != choice.best and behind is not None:
        if behind[1] < 0:
            said.append(
                f"Compared on the same resamples, {choice.advised} px is behind {choice.best} px by {-behind[1]:.3f} to {-behind[0]:.3f}: "
                "a real difference, if a small one. Take the larger size where cost does not matter."
            )
        else:
            said.append(
                f"Compared on the same resamples, {choice.advised} px less {choice.best} px is {behind[0]:+.3f} to {behind[1]:+.3f}: these "
                "rows cannot tell the two apart."
            )
    auroc = rows[choice.advised].auroc_behind_best_interval
    if auroc is not None and auroc[1] < 0:
        other = max(measured.figures, key=lambda row: row.auroc)
        said.append(
            f"AUROC(abnormal) says otherwise: it is best at {other.size} px ({other.auroc:.3f}), and {choice.advised} px is behind it by "
            f"{-auroc[1]:.3f} to {-auroc[0]:.3f}, resample by resample. Where finding any abnormal film matters most, go by that."
        )
    low = shapes.sizes.max(axis=1)
    top = max(rows)
    if (share := float((low < top).mean())) > 0.05:
        said.append(f"{share:.0%} of the images are stored smaller than {top} px: there it is their own pixels that limit, not the input.")
    scarce = min(measured.rows, key=lambda name: measured.rows[name])
    said.append(
        f"The heads rest on frozen features of {measured.model}; fine-tuning may profit more from resolution. The scarcest class, "
        f"{scarce}, has {measured.rows[scarce]} rows, and weighs a {_share_word(len(measured.rows))} of balanced accuracy."
    )
    for size, asked in measured.asked.items():
        if size != asked:
            said.append(f"{asked} px is not a whole number of the network's patches: measured at {size} px.")
    edge = (min(measured.settings.strengths), max(measured.settings.strengths))
    every = [strength for row in measured.figures for strength in row.strengths]
    at_edge = sum(strength in edge for strength in every)
    if at_edge > len(every) / 4 and len(measured.settings.strengths) > 1:
        said.append(f"{at_edge} of {len(every)} heads have a strength at an end of the range tried; widen `strengths` in the recipe.")
    if measured.circumstances.processor_share < _UNDISTURBED:
        said.append(
            "Other programs were running while costs were measured (this process got "
            f"{measured.circumstances.processor_share:.0%} of its threads' time): milliseconds are too high. The same command measures "
            "them again in a minute."
        )
    return said + list(measured.notes)


def figures_table(found: Resolution) -> list[str]:
    """The figures in short, for the terminal."""
    shapes = found.shapes
    lines = [f"{len(shapes.sizes):,} images; {_clusters_word(shapes.clusters.k)} of sizes, the largest around {_largest(shapes)}"]
    if found.shapes.refused:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.shapes.refused.most_common())
        lines.append(f"{sum(found.shapes.refused.values())} left out: {reasons}")
    head = ["px", "made larger", "pixels lost", "padding", "box, px"]
    body = [
        [str(each.size), f"{each.upscaled:.0%}", f"{each.pixels_lost:.0%}", f"{each.padding:.0%}", _box(each)] for each in shapes.candidates
    ]
    lines += [f"  {line}" for line in text_table(head, body, left=())]
    if found.measured is not None:
        costs = {cost.size: cost for cost in found.measured.costs}
        body = []
        for row in found.measured.figures:
            accuracy = f"{row.balanced_accuracy:{ALONE}}{span(row.interval, ALONE, ' to ')}"
            auroc = f"{row.auroc:{ALONE}}{span(row.auroc_interval, ALONE, ' to ')}"
            spent = [f"{costs[row.size].milliseconds:.1f}", f"{costs[row.size].training_mb:.0f}"]
            body.append([str(row.size), accuracy, auroc, *spent])
        head = ["px", TITLES["balanced_accuracy"], TITLES["auroc_abnormal"], "ms", "MB"]
        lines += [f"  {line}" for line in text_table(head, body, left=())]
    return lines


def _clusters_word(count: int) -> str:
    return "1 cluster" if count == 1 else f"{count} clusters"


def _largest(shapes: Shapes) -> str:
    width, height = shapes.clusters.centres[0]
    return f"{width:.0f} × {height:.0f} ({shapes.clusters.counts[0] / len(shapes.sizes):.0%})"


def _share_word(classes: int) -> str:
    return {2: "half", 3: "third", 4: "quarter", 5: "fifth"}.get(classes, f"{classes}th part")


def _head(found: Resolution, command: str) -> str:
    shapes, measured = found.shapes, found.measured
    licences = f", licence {' or '.join(map(plain, found.licences))}" if found.licences else ""
    lines = [f"Images: {len(shapes.sizes):,} of {plain(found.data)}{licences}"]
    if shapes.refused:
        reasons = ", ".join(f"{count} {plain(reason)}" for reason, count in shapes.refused.most_common())
        lines.append(f"Left out, since their headers cannot be read or are refused: {sum(shapes.refused.values())} ({reasons})")
    if measured is not None:
        classes = ", ".join(f"{count:,} {plain(name)}" for name, count in measured.rows.items())
        lines += [
            f"Cross-validated: {classes}, in {measured.groups:,} groups; rows SHA-256 {found.data_sha256[:16]}",
            f"Time for features, heads and costs, over all runs: {measured.seconds / 60:.1f} minutes",
        ]
    return bullets([*lines, *command_point(command)])


def _clusters(shapes: Shapes) -> str:
    clusters = shapes.clusters
    body = [
        [f"{width:.0f} × {height:.0f}", f"{count:,}", f"{count / clusters.counts.sum():.0%}"]
        for (width, height), count in zip(clusters.centres, clusters.counts, strict=True)
    ]
    long_side = shapes.sizes.max(axis=1)
    aspects = ", ".join(f"{value:.2f} ({percentile} %)" for percentile, value in shapes.aspects.items())
    return f"Long side: {long_side.min()} to {long_side.max()} px. Width ÷ height, percentiles: {aspects}.\n\n" + markdown_table(
        ["centre of the cluster, px", "images", "share"], body
    )


def _letterboxing(shapes: Shapes) -> str:
    head = ["long side, px", "made larger", "made smaller", "pixels lost, of all", "lost by the median image", "padding of the square"]
    head += ["grey pixels an image, MB", "median side of a box, px"]
    body = [
        [
            str(each.size), f"{each.upscaled:.0%}", f"{each.shrunk:.0%}", f"{each.pixels_lost:.0%}", f"{each.median_lost:.0%}",
            f"{each.padding:.0%}", f"{each.megabytes:.3f}", _box(each),
        ]
        for each in shapes.candidates
    ]  # fmt: skip
    return markdown_table(head, body)


def _box(each: Letterboxing) -> str:
    return "–" if each.box_side is None else f"{each.box_side:.1f} ({each.boxes:,} boxes)"


def _figures(measured: SizeMeasurements) -> str:
    names = list(measured.rows)
    head = ["size, px", TITLES["balanced_accuracy"], "standard error", "less the best", TITLES["auroc_abnormal"], "less the best"]
    head += [f"sensitivity, {plain(name)}" for name in names]
    body = []
    for row in measured.figures:
        title = str(row.size) if measured.asked[row.size] == row.size else f"{row.size} (asked: {measured.asked[row.size]})"
        mark = {measured.choice.advised: " **advised**", measured.choice.best: " best"}
        if measured.choice.advised == measured.choice.best:
            mark = {measured.choice.best: " **best, advised**"}
        body.append(
            [
                title + mark.get(row.size, ""),
                f"{row.balanced_accuracy:{ALONE}}{span(row.interval, ALONE, ' to ')}",
                f"{row.standard_error:.3f}",
                _difference(row.behind_best, row.behind_best_interval),
                f"{row.auroc:{ALONE}}{span(row.auroc_interval, ALONE, ' to ')}",
                _difference(row.auroc_behind_best, row.auroc_behind_best_interval),
                *(f"{row.sensitivities[name]:.2f} of {measured.rows[name]:,}" for name in names),
            ]
        )
    return f"Value (95 % interval).\n\n{markdown_table(head, body)}"


def _difference(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:+.3f}{span(interval, '+.3f', ' to ')}" if value else "–"


def _costs(measured: SizeMeasurements, shapes: Shapes) -> str:
    head = ["size, px", "ms, opening and scaling", "ms, forward (least – greatest)", "ms, both", "MB, input tensor"]
    head += ["MB, forward pass", "MB, kept for the backward pass", "MB, cached grey pixels"]
    grey = {each.size: each.megabytes for each in shapes.candidates}
    body = [
        [
            str(cost.size), f"{cost.prepare_ms:.1f}", f"{cost.forward_ms:.1f} ({cost.forward_range[0]:.1f} – {cost.forward_range[1]:.1f})",
            f"{cost.milliseconds:.1f}", f"{cost.input_mb:.2f}", f"{cost.forward_mb:.1f}", f"{cost.training_mb:.0f}",
            f"{grey.get(cost.size, grey.get(measured.asked[cost.size], float('nan'))):.3f}",
        ]
        for cost in measured.costs
    ]  # fmt: skip
    about = measured.circumstances
    return (
        f"An image, on {plain(about.device)} (threads: {about.threads}, cores: {about.cores}), batches of "
        f"{about.batch_size}; medians of {about.repeats} repeats on {about.images} images after one to warm up, sizes in turn.\n\n"
        + markdown_table(head, body)
    )


def _method(found: Resolution) -> str:
    strengths = ", ".join(f"{strength:g}" for strength in found.measured.settings.strengths) if found.measured else ""
    return render("evaluation/resolution/method.md.j2", measured=found.measured, strengths=strengths)
