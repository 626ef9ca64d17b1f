"""The card of a dataset folder: its README.md, made from the summary of the build and never typed.

The front matter points `load_dataset` at the Arrow files that `save_to_disk` wrote, so that one folder serves both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from hf_bones.curation.splits.names import SPLITS
from hf_bones.pages.templates import render


@dataclass(frozen=True)
class KnownSource:
    """What is to be said of images from a source, in the card of a dataset and in that of a model which learnt from them."""

    credit: str = ""  # whose they are, where they were published, under which licence
    labels: str = ""  # whose word the labels are, as published
    graded: str = ""  # what was done to rows that carry `beyond_repair`
    label_noise: str = ""  # how far those grades agree


KNOWN_SOURCES: Mapping[str, KnownSource] = {
    "fracatlas": KnownSource(
        credit="FracAtlas: I. Abedeen et al., FracAtlas: A Dataset for Fracture Classification, Localization and Segmentation of "
        "Musculoskeletal Radiographs, Scientific Data 10, 521 (2023), doi 10.6084/m9.figshare.22363012, CC BY 4.0.",
        labels="Healthy or fractured is the radiologists' word; which fractures are beyond repair is not part of FracAtlas.",
        graded="Scaled down; severity labels added by this project.",
        label_noise="Healthy or fractured is the radiologists' word. beyond_repair means that two non-clinicians, grading by eye and "
        "independently, both gave the highest of four grades of severity; over 574 films they agreed exactly on 0.75 and on "
        '"severe or not" with a kappa of 0.76.',
    ),
    "grazpedwri": KnownSource(
        credit="GRAZPEDWRI-DX: Nagy et al., Scientific Data 9, 222 (2022), doi 10.1038/s41597-022-01328-z, CC BY 4.0."
    ),
    "mura": KnownSource(credit="MURA: Rajpurkar et al., arXiv:1712.06957, Stanford's research use agreement: not to be passed on."),
    "drawn": KnownSource(labels="Drawn by hf_bones itself (`hf_bones.dataset.drawn.radiograph`), CC0 1.0. No patient was imaged."),
}
"""By the word in a dataset's column `source`, as the importers write it."""

_HUB_LICENCES = {"CC-BY-4.0": "cc-by-4.0", "CC-BY-SA-4.0": "cc-by-sa-4.0", "CC0-1.0": "cc0-1.0", "CC-BY-NC-4.0": "cc-by-nc-4.0"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(path: Path, summary: Mapping[str, Any], *, title: str) -> None:
    """Writes the card for a build's `summary` (see `build.build_dataset`) to `path`."""
    path.write_text(card_text(summary, title=title), encoding="utf-8")


def card_text(summary: Mapping[str, Any], *, title: str) -> str:
    """The card: front matter, counts by split, label, source and licence, label definitions, attribution, and how it was made."""
    counts: Sequence[Mapping[str, Any]] = summary["counts"]
    splits = [split for split in SPLITS if any(row["split"] == split for row in counts)]
    licences = Counter[str]()
    for row in counts:
        licences[row["licence"]] += row["count"]
    return render(
        "dataset/card.md.j2",
        front_matter=_front_matter(splits, list(licences), sum(licences.values()), title),
        title=title,
        counts=_count_rows(counts, summary["labels"], splits),
        summary=summary,
        licences=licences.most_common(),
        sources=[(source, _said_of(source)) for source in dict.fromkeys(row["source"] for row in counts)],
    )


def _said_of(source: str) -> str:
    known = KNOWN_SOURCES.get(source)
    return " ".join(text for text in (known.credit, known.labels) if text) if known else "see whoever gave you these images."


def _front_matter(splits: Sequence[str], licences: Sequence[str], total: int, title: str) -> str:
    known = _HUB_LICENCES.get(licences[0]) if len(licences) == 1 else None
    data: dict[str, Any] = {"license": known or "other"}
    if known is None:
        data["license_name"] = "mixed" if len(licences) > 1 else licences[0].lower().replace(" ", "-")
    data |= {
        "pretty_name": title,
        "task_categories": ["image-classification"],
        "tags": ["medical", "x-ray", "radiograph", "bone-fracture"],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "1M<n<10M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": split, "path": f"{split}/*.arrow"} for split in splits]},
        ],
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _count_rows(counts: Sequence[Mapping[str, Any]], labels: Mapping[str, Any], splits: Sequence[str]) -> list[list[object]]:
    """A head; rows by split, source and licence with a column for each label; and the totals."""
    names = [label["name"] for label in labels["classes"]]
    cells = Counter[tuple[str, str, str, str]]()
    for row in counts:
        cells[row["split"], row["source"], row["licence"], row["label"]] += row["count"]
    rows: list[list[object]] = [["split", "source", "licence", *names, "all"]]
    for split in splits:
        for source, licence in sorted({(key[1], key[2]) for key in cells if key[0] == split}):
            found = [cells[split, source, licence, name] for name in names]
            rows.append([split, source, licence, *(f"{count:,}" for count in (*found, sum(found)))])
    totals = [sum(count for key, count in cells.items() if key[3] == name) for name in names]
    return [*rows, [Markup("**all**"), "", "", *(f"{count:,}" for count in (*totals, sum(totals)))]]
