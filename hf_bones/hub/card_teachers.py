"""The part of a model card that says who taught a distilled model, on which images, and what that was worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_bones.metrics.headlines import ALONE, DISTILLATION

NOT_STATED = "not stated"


def further_licences(distillation: Mapping[str, Any]) -> list[str]:
    """Licences of what a distilled model learnt from beside its labelled rows: images without labels, its teachers' training data."""
    lists = [*distillation.get("unlabelled", []), *distillation.get("teachers", [])]
    return sorted({str(name) for one in lists for name in one.get("licences") or {}})


def teachers_section(distillation: Mapping[str, Any]) -> str:
    """The section as Markdown; "" of a model that had no teacher."""
    if not distillation:
        return ""
    lines = [_teacher_line(teacher) for teacher in distillation.get("teachers", [])]
    lines += [
        f"Probabilities made before: {_plain(file['name'])} (SHA-256 `{file['sha256']}`), of {file['images']:,} images"
        for file in distillation.get("probability_files", [])
    ]
    by_labels = distillation["label_weight"]
    parts = [f"{_number(by_labels)} × that of the labels", f"{_number(1 - by_labels)} × the distance from the teacher's probabilities"]
    if distillation.get("feature_weight"):
        parts.append(f"{_number(distillation['feature_weight'])} × that from its features ({_plain(distillation['features'])})")
    lines.append(f"Loss: {' + '.join(parts)}; temperature {_number(distillation['temperature'])}")
    lines.append(f"Images with a label: {distillation['labelled_images']:,}; without: {distillation['unlabelled_images']:,}")
    lines += [_folder_line(folder) for folder in distillation.get("unlabelled", [])]
    if "agreement" in distillation:
        lines.append(f"Agrees with its teacher on the likeliest label of {distillation['agreement']:.0%} of the validation images")
    text = "## Distillation\n\nA small model that learnt from larger ones.\n\n" + "\n".join(f"- {line}" for line in lines)
    table = _worth(distillation.get("labels_alone"))
    return f"{text}\n\n{table}" if table else text


def _teacher_line(teacher: Mapping[str, Any]) -> str:
    licences = ", ".join(f"{_plain(name)} ({count})" for name, count in (teacher.get("licences") or {}).items())
    learnt = f"it learnt from rows under {licences}" if licences else "what it learnt from is not recorded"
    return f"Teacher: {_plain(teacher['name'])} at {teacher['size']} px (weights SHA-256 `{teacher['sha256']}`); {learnt}"


def _folder_line(folder: Mapping[str, Any]) -> str:
    licences = ", ".join(f"{_plain(name)} ({count})" for name, count in folder["licences"].items())
    left = f"; {folder['copies_of_held_out']} copies of validation or test images were kept out" if folder["copies_of_held_out"] else ""
    return f"Without labels: {_plain(folder['name'])}, {folder['images']:,} images, licence {licences}{left}"


def _worth(alone: Mapping[str, Any] | None) -> str:
    if not alone:
        return ""
    rows = ["| on validation | from labels alone | by distillation (95 %) |", "| --- | --- | --- |"]
    for key in DISTILLATION:
        value, low, high = _triple(alone["difference"].get(key))
        if value is None or alone["validation"].get(key) is None:
            continue
        interval = f" ({low:+{ALONE}} to {high:+{ALONE}})" if low is not None and high is not None else ""
        rows.append(f"| {key} | {alone['validation'][key]:{ALONE}} | {value:+{ALONE}}{interval} |")
    return (
        "\n".join(rows) + "\n\nThe same network, as many steps, without its teacher; the checkpoint of either was chosen on these images."
    )


def _triple(values: Sequence[float | None] | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if values is None else (values[0], values[1], values[2])


def _number(value: float) -> str:
    return f"{value:.3g}"


def _plain(text: object) -> str:
    """Text from a file, made harmless in Markdown: no line break, no cell border, no HTML."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
