"""The model card of a checkpoint, written from its own files: record.json, decision.json, config.json, and metrics.json of an evaluation.

Every figure comes from a file; what no file has is printed as "not measured" or "not recorded". Nothing is typed by hand.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hf_bones.hub.card_teachers import further_licences, teachers_section
from hf_bones.inference.checkpoint import CONFIG_FILE, PROCESSOR_FILE, RECORD_FILE, scheme_of
from hf_bones.inference.decision import Decision, read_decision
from hf_bones.labels import BEYOND_REPAIR, LabelScheme
from hf_bones.preprocess import spec_from_processor
from hf_bones.record import public_name, read_json

CARD_FILE = "README.md"
METRICS_FILE = "metrics.json"
PLOTS = ("curves.png", "confusion.png", "roc.png", "reliability.png")
POOLED = "hf_bones_pooled"  # model_type of a `training.pooling.PooledClassifier`; named here, since a card needs no torch
NOT_MEASURED, NOT_RECORDED = "not measured", "not recorded"

# Licences under which a trained model may be passed on with attribution. Anything else is named in the card and left to the reader.
CLEAR_LICENCES = {"cc-by-4.0", "cc-by-3.0", "cc-by-2.0", "cc-by-2.5", "cc0-1.0", "apache-2.0", "mit", "public-domain", "drawn"}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def write_card(folder: str | Path, *, name: str | None = None, evaluation: str | Path | None = None) -> Path:
    """Writes `folder`/README.md and returns its path.

    name: the title, by default the folder's name; a Hub id also goes into the usage examples. evaluation: a folder that
    `hf-bones evaluate` wrote for this checkpoint; its metrics.json and plots are copied beside the card (never its pages with pictures
    of patients). Raises FileNotFoundError where config.json, or metrics.json of the evaluation, is missing.
    """
    target = Path(folder)
    if not (target / CONFIG_FILE).is_file():
        raise FileNotFoundError(f"{target / CONFIG_FILE}: a card is written for a saved checkpoint; there is none here")
    if evaluation is not None:
        if not (Path(evaluation) / METRICS_FILE).is_file():
            raise FileNotFoundError(f"{Path(evaluation) / METRICS_FILE}: not a folder that `hf-bones evaluate` wrote")
        for file in (METRICS_FILE, *PLOTS):
            if (Path(evaluation) / file).is_file() and Path(evaluation).resolve() != target.resolve():
                shutil.copyfile(Path(evaluation) / file, target / file)
    path = target / CARD_FILE
    path.write_text(card_text(target, name), encoding="utf-8")
    return path


def card_text(folder: Path, name: str | None = None) -> str:
    """The card of the checkpoint in `folder`, as Markdown with YAML front matter."""
    config = read_json(folder / CONFIG_FILE)
    record = read_json(folder / RECORD_FILE) if (folder / RECORD_FILE).is_file() else {}
    measured = read_json(folder / METRICS_FILE) if (folder / METRICS_FILE).is_file() else None
    decision = read_decision(folder)
    scheme = decision.scheme if decision else scheme_of(config, str(folder))
    title = name or folder.resolve().name
    data, distillation = _mapping(record.get("data")), _mapping(record.get("distillation"))
    licences = [*_names(data.get("licences")), *further_licences(distillation)]
    sections = [
        _front_matter(record, data, licences),
        f"# {_plain(title)}",
        "**A research and teaching tool, not a medical device: it must not be used to diagnose or to decide on treatment.**",
        _drawn_notice(data),
        _what_it_is(config, folder, record, scheme),
        _labels(scheme, data),
        _training_data(data, licences),
        teachers_section(distillation),
        _figures(measured, record, scheme),
        _calibration(decision),
        _usage(title, scheme, config),
        _limits(scheme, record),
        _provenance(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(record: Mapping[str, Any], data: Mapping[str, Any], licences: Sequence[str]) -> str:
    clear = bool(licences) and all(licence.casefold() in CLEAR_LICENCES for licence in licences)
    matter: dict[str, Any] = {"license": "apache-2.0"} if clear else {"license": "other", "license_name": "see-training-data"}
    matter |= {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "radiography", "x-ray", "bone-fracture", "hf-bones"],
    }
    # Only what the record calls a Hub id: `data/bones` or `runs/first` looks like one and is a folder.
    if _HUB_ID.fullmatch(str(record.get("base_model_id") or "")):
        matter["base_model"] = record["base_model_id"]
    if _HUB_ID.fullmatch(str(data.get("dataset_id") or "")):
        matter["datasets"] = [data["dataset_id"]]
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---"


def _drawn_notice(data: Mapping[str, Any]) -> str:
    if data.get("synthetic_only") is True:
        return (
            "> **This model learnt from drawn radiographs only.** They come from a simple model of bones, not from patients: it shows how "
            "the tools work and is of no worth on real radiographs."
        )
    return ""


def _what_it_is(config: Mapping[str, Any], folder: Path, record: Mapping[str, Any], scheme: LabelScheme) -> str:
    architecture = (config.get("architectures") or [NOT_RECORDED])[0]
    processor = folder / PROCESSOR_FILE
    size = f"{spec_from_processor(read_json(processor), str(processor)).size} px" if processor.is_file() else NOT_RECORDED
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    rows = [
        ("Task", f"one radiograph of a bone → {', '.join(map(_plain, scheme.names))}"),
        ("Architecture", _plain(architecture)),
        ("Started from", _place(record.get("base_model"))),
        ("Input", f"grey, aspect ratio kept, long side {size}, padded to a square"),
        ("Weights", f"{weights / 1e6:.1f} MB, safetensors" if weights else NOT_RECORDED),
    ]
    if config.get("model_type") == POOLED:
        rows.append(("Needs", f"hf-bones installed: pooling by {_plain(config.get('pooling'))} over patches is not part of transformers"))
    return "## What it is\n\n" + _table(("", ""), rows)


def _labels(scheme: LabelScheme, data: Mapping[str, Any]) -> str:
    text = "## Labels\n\n" + _table(("label", "definition"), [(_plain(c.name), _plain(c.definition)) for c in scheme.classes])
    if BEYOND_REPAIR in scheme.names:
        text += (
            "\n\n`beyond_repair` is not a radiological term, and no standard says where `fractured` ends and it begins: people who grade "
            "films disagree there, so read its figures as those of a noisy label. Agreement between graders: "
            + _plain(data.get("label_noise") or NOT_RECORDED).rstrip(".")
            + "."
        )
    return text


def _training_data(data: Mapping[str, Any], licences: Sequence[str]) -> str:
    if not data:
        return f"## Training data\n\nNo record came with this checkpoint: data {NOT_RECORDED}, licences {NOT_RECORDED}."
    lines = [f"Dataset: {_place(data.get('dataset'))}"]
    lines += [f"SHA-256 of rows and labels: `{data['sha256']}`"] if data.get("sha256") else []
    lines += [f"SHA-256 of the split: `{data['split_sha256']}`"] if data.get("split_sha256") else []
    lines.append(f"Licences: {_counted(data.get('licences'))}")
    if data.get("sources"):
        lines.append(f"Sources: {_counted(data['sources'])}")
    if data.get("drawn"):
        lines.append(f"Drawn, not photographed: {data['drawn']}")
    lines += [_plain(line) for line in data.get("attribution") or []]
    unclear = list(dict.fromkeys(name for name in licences if name.casefold() not in CLEAR_LICENCES))
    if unclear:
        lines.append(f"**Trained on rows under {', '.join(map(_plain, unclear))}: find out what that allows before you pass this on.**")
    text = "## Training data\n\n" + "\n".join(f"- {line}" for line in lines)
    splits = {split: by for split, by in _mapping(data.get("counts")).items() if isinstance(by, Mapping)}
    if splits:
        names = list(dict.fromkeys(label for by in splits.values() for label in by))
        rows = [(_plain(split), *(str(by.get(label, 0)) for label in names)) for split, by in splits.items()]
        text += "\n\n" + _table(("split", *map(_plain, names)), rows)
    return text


def _figures(measured: Mapping[str, Any] | None, record: Mapping[str, Any], scheme: LabelScheme) -> str:
    from hf_bones.hub.card_figures import measured_table, validation_table  # with sklearn and matplotlib behind it

    parts = ["## Figures"]
    if measured is None:
        parts.append(f"On held-out test images: {NOT_MEASURED}.")
    else:
        parts.append(measured_table(measured, scheme))
    looks = record.get("test_looks")
    if isinstance(looks, list):
        parts.append(f"Times that a held-out split was looked at, by this checkpoint's record: {len(looks)}.")
    parts.append(validation_table(_mapping(_mapping(record.get("metrics")).get("validation")), scheme))
    return "\n\n".join(parts)


def _calibration(decision: Decision | None) -> str:
    if decision is None:
        return f"## Calibration\n\nThe probabilities are not calibrated (no decision.json); how far they can be trusted is {NOT_MEASURED}."
    count = decision.fitted_on.get("n")
    fitted = f"fitted on {count} validation images" if count else f"number of images: {NOT_RECORDED}"
    before, after = decision.fitted_on.get("log_loss_before"), decision.fitted_on.get("log_loss_after")
    change = f"; log loss there {before:.3f} before, {after:.3f} after" if before is not None and after is not None else ""
    sets = (
        "One threshold a class decides which labels stay open; an image with none or several is referred."
        if decision.thresholds
        else "No thresholds for referring doubtful images: the verdict is always the likeliest label."
    )
    return (
        f"## Calibration\n\nTemperature {decision.temperature:.3f} ({fitted}{change}). {sets} "
        "A plain `pipeline` gives the probabilities before calibration, `BonePredictor` both."
    )


def _usage(title: str, scheme: LabelScheme, config: Mapping[str, Any]) -> str:
    model = title if _HUB_ID.fullmatch(title) else "PATH_OR_ID"
    ours = "import hf_bones.training.backbone.pooling  # pip install hf-bones: makes this classifier known to transformers\n" * (
        config.get("model_type") == POOLED
    )
    return f"""## How to use

```python
{ours}from transformers import AutoImageProcessor, pipeline

processor = AutoImageProcessor.from_pretrained("{model}", backend="pil")
classify = pipeline("image-classification", model="{model}", image_processor=processor)
print(classify("wrist.png", top_k={len(scheme.names)}))
```

Name the PIL backend: with torchvision installed, transformers takes its own resizing by default and the figures move.

```python
from hf_bones import BonePredictor

finding = BonePredictor.from_pretrained("{model}").predict("wrist.png")[0]
print(finding.verdict, finding.probabilities)
```

```
hf-bones predict FOLDER --model {model} --csv findings.csv
```"""


def _limits(scheme: LabelScheme, record: Mapping[str, Any]) -> str:
    boxes = _mapping(_mapping(record.get("recipe")).get("training")).get("box_loss")
    told = "Boxes around breaks taught it beside the labels" if boxes else "It was given a whole image and no box"
    lines = [
        "Not a medical device, not cleared by anybody, not tested on patients. A fracture that it misses is still a fracture.",
        "Other hospitals, machines, ages and body parts than those in the training data: not measured, unless a row above says so.",
        "It answers for any image: whether the picture is a radiograph of a bone at all is not checked by the network.",
        "It can lean on what goes with a fracture rather than on the fracture: casts, tight crops, the look of a source.",
        f"{told}: a heat map shows what moved the answer, which need not be where the fracture is.",
    ]
    if BEYOND_REPAIR in scheme.names:
        lines.append("`beyond_repair` says nothing about what a surgeon can do.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _provenance(record: Mapping[str, Any]) -> str:
    if not record:
        return ""
    environment = _mapping(record.get("environment"))
    packages = ", ".join(f"{name} {version}" for name, version in _mapping(environment.get("packages")).items())
    recipe = _mapping(record.get("recipe")).get("name") or "in record.json"
    elsewhere = record.get("trained_on")  # where the weights come from another machine than the rest
    from_to = " to ".join(_plain(record.get(key) or NOT_RECORDED) for key in ("started", "finished"))
    lines = [
        f"Recipe: {_plain(recipe)}",
        *([f"Trained on: {_plain(elsewhere)}"] if elsewhere else []),
        f"{'Made into a checkpoint' if elsewhere else 'Trained'}: {from_to}",
        f"With: {_plain(packages or NOT_RECORDED)}",
    ]
    return "## Provenance\n\n" + "\n".join(f"- {line}" for line in lines) + "\n\nWritten by hf-bones from record.json and its neighbours."


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(licences: Any) -> list[str]:
    """Names from a list, or from a mapping of name to count."""
    return [str(name) for name in licences] if isinstance(licences, (Mapping, list, tuple)) else []


def _counted(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{_plain(name)} ({count})" for name, count in value.items())
    return ", ".join(map(_plain, _names(value))) or NOT_RECORDED


def _place(name: Any) -> str:
    """A dataset or model as recorded; of an absolute path only the last part, since the rest is somebody's own."""
    text = str(name) if name else NOT_RECORDED
    return _plain(public_name(text))


def _plain(text: object) -> str:
    """Text from a file, made harmless in Markdown: no line break, no cell border, no HTML."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
