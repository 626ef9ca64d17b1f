"""Which size to train at: `hf-bones resolution`.

Sizes come from the headers alone. With `measure`, a head on frozen features is cross-validated at each candidate size, an image's cost
is measured, and the cheapest size within one standard error of the best is advised. Features and opinions are kept on disk as they are
made: the same command resumes.

Not here: fine-tuning at several sizes, which would answer more and cost days.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.dataset.command import parse_label_map
from hf_bones.dataset.scheme import chosen_scheme
from hf_bones.evaluation.opinions.image_rows import ImageRow, image_rows, spread_sample, with_hashes
from hf_bones.evaluation.resolution.choices import ResolutionChoices
from hf_bones.evaluation.resolution.header_sizes import header_size
from hf_bones.evaluation.resolution.results import Resolution, Shapes, SizeMeasurements
from hf_bones.evaluation.resolution.shapes import aspect_percentiles, letterboxing, size_clusters
from hf_bones.images.opening import ImageRefusedError
from hf_bones.labels import LabelScheme
from hf_bones.pages.reports import write_report
from hf_bones.record import now, public_name, sha256_rows, write_json

if TYPE_CHECKING:
    from hf_bones.evaluation.opinions.frozen import Backbone

_COST_SAMPLE = 16  # images of which the cost is measured


def advise_resolution(
    place: str | Path,
    out: Path,
    choices: ResolutionChoices = ResolutionChoices(),  # noqa: B008 - frozen
    *,
    settings: OpinionSettings | None = None,
    command: str = "",
    progress: bool = True,
) -> Resolution:
    """Looks at the images at `place` (collection, dataset, folder or table) and writes report.md, report.html, resolution.json
    and plots into `out`.

    `settings` say how to cross-validate. Raises ValueError saying what is missing or cannot be measured.
    """
    from hf_bones.evaluation.resolution.plots import plot_accuracy, plot_elbow, plot_sizes
    from hf_bones.evaluation.resolution.report import report_text

    wanted = sorted(set(choices.sizes))
    if not wanted or wanted[0] < 8:
        raise ValueError(f"sizes {list(choices.sizes)}: name one or more of 8 px or above")
    scheme, label_map = chosen_scheme(choices.labels, [str(place)]), dict(parse_label_map(choices.label_map))
    rows = image_rows(place, kind=choices.kind, scheme=scheme, label_map=label_map, licences=choices.licences, labelled=choices.measure)
    if choices.limit is not None:
        rows = spread_sample(rows, choices.limit)
    shapes = read_shapes(rows, wanted, progress=progress)
    measured, fingerprint = None, ""
    if choices.measure:
        rows = with_hashes(rows)
        fingerprint = sha256_rows((row.sha256, row.label, row.group) for row in rows)
        measured = measure_sizes(rows, wanted, scheme, choices.cache or out / "features", choices, settings or OpinionSettings(), progress)
    found = Resolution(public_name(place), fingerprint, choices.licences, shapes, measured)
    out.mkdir(parents=True, exist_ok=True)
    plot_sizes(shapes, out / "sizes.png")
    plot_elbow(shapes.clusters, out / "elbow.png")
    if measured is not None:
        plot_accuracy(measured, out / "accuracy.png")
    write_report(out / "report.md", report_text(found, command))
    write_json(out / "resolution.json", {"date": now(), "command": command, **as_data(found)})
    return found


def read_shapes(rows: Sequence[ImageRow], candidates: Sequence[int], *, progress: bool = True) -> Shapes:
    """Sizes from headers, their clusters, and what each candidate size does to them. Raises ValueError where no header can be read."""
    found, boxes, refused = [], [], Counter[str]()
    for row in tqdm(rows, desc="headers", unit="img", disable=None if progress else True):
        try:
            found.append(header_size(row.read, row.file))
            boxes.append(row.boxes)
        except ImageRefusedError as error:
            refused[str(error.reason)] += 1
    sizes = np.array(found, dtype=np.int64).reshape(-1, 2)
    letterboxed = tuple(letterboxing(sizes, size, boxes) for size in candidates)
    return Shapes(sizes, refused, size_clusters(sizes), aspect_percentiles(sizes), letterboxed)


def measure_sizes(
    rows: Sequence[ImageRow],
    candidates: Sequence[int],
    scheme: LabelScheme,
    cache: Path,
    choices: ResolutionChoices,
    settings: OpinionSettings,
    progress: bool = True,
) -> SizeMeasurements:
    """Cross-validates at each size that the model can take, measures its cost and chooses. `rows` have their hashes."""
    from hf_bones.evaluation.opinions.frozen import frozen_features, learnt_from, load_backbone
    from hf_bones.evaluation.resolution.costs import measure_costs
    from hf_bones.evaluation.resolution.measure import choose, compare_sizes, judge

    model = choices.model
    backbones: dict[int, Backbone] = {}
    for size in candidates:
        backbone = load_backbone(model, size, keep_blocks=choices.keep_blocks, revision=choices.revision, device=choices.device)
        backbones.setdefault(backbone.spec.size, backbone)
    images, hashes = [row.read for row in rows], [row.sha256 for row in rows]
    seconds, judged, kept = 0.0, [], None
    for backbone in backbones.values():
        features = frozen_features(backbone, images, hashes, cache, progress=progress)
        seconds += features.seconds
        # Whether an image can be opened does not depend on the size, so that the rows are the same at every size.
        kept = features.kept
        own = [rows[index] for index in kept]
        labels = np.array([scheme.label2id[row.label] for row in own], dtype=np.int64)
        groups = [row.group for row in own]
        judged.append(judge(backbone, features.values[kept], labels, groups, [row.sha256 for row in own], scheme, settings, cache))
        seconds += judged[-1].seconds
    assert kept is not None, "there is at least one candidate"
    began = time.perf_counter()
    figures = compare_sizes(judged, labels, groups, scheme, settings.seed)
    sample = np.random.default_rng(settings.seed).choice(kept, min(_COST_SAMPLE, len(kept)), replace=False)
    costs, circumstances = measure_costs(list(backbones.values()), [images[index] for index in sample])
    seconds += time.perf_counter() - began
    notes = [learnt_from(model)] if learnt_from(model) else []
    stored = next(iter(backbones.values())).stored_size
    if stored is not None and max(backbones) > stored:
        notes.append(
            f"The backbone's position embeddings are stored for {stored} px and stretched for more, which may cost it something at larger "
            "sizes; one that stores more of them may do better there."
        )
    counts = Counter(row.label for row in own)
    return SizeMeasurements(
        model=public_name(model) if model != "bundled" else model,
        asked={size: backbone.asked_size for size, backbone in backbones.items()},
        figures=tuple(figures),
        costs=tuple(costs),
        circumstances=circumstances,
        choice=choose(figures, {cost.size: cost.milliseconds for cost in costs}),
        rows={name: counts[name] for name in scheme.names},
        groups=len(set(groups)),
        settings=settings,
        seconds=seconds,
        notes=tuple(notes),
    )


def as_data(found: Resolution) -> dict[str, Any]:
    """The content of resolution.json."""
    from hf_bones.evaluation.resolution.report import advice_sentence

    clusters = found.shapes.clusters
    data: dict[str, Any] = {
        "data": found.data,
        "data_sha256": found.data_sha256,
        "licences": found.licences,
        "images": len(found.shapes.sizes),
        "refused": dict(found.shapes.refused),
        "aspect_percentiles": found.shapes.aspects,
        "clusters": [
            {"width": width, "height": height, "images": count}
            for (width, height), count in zip(clusters.centres.tolist(), clusters.counts.tolist(), strict=True)
        ],
        "inertias": clusters.inertias,
        "candidates": [asdict(candidate) for candidate in found.shapes.candidates],
        "measured": None,
    }
    if found.measured is not None:
        data["measured"] = {"advice": advice_sentence(found.measured), **asdict(found.measured)}
    return data
