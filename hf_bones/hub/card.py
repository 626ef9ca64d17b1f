"""The model card of a checkpoint, written from its own files: record.json, decision.json, config.json, and metrics.json of an evaluation.

Every figure comes from a file; what no file has is printed as "not measured" or "not recorded". Nothing is typed by hand.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hf_bones.curation.duplicates.seen_films import SEEN_FILE, read_seen_films
from hf_bones.hub.card_teachers import further_licences, worth_rows
from hf_bones.inference.checkpoint import CONFIG_FILE, HUB_ID, PROCESSOR_FILE, RECORD_FILE, scheme_of
from hf_bones.inference.decision import read_decision
from hf_bones.labels import BEYOND_REPAIR, LabelScheme
from hf_bones.pages.templates import render
from hf_bones.preprocess import spec_from_processor
from hf_bones.record import public_name, read_json

CARD_FILE = "README.md"
METRICS_FILE = "metrics.json"
PLOTS = ("curves.png", "confusion.png", "roc.png", "reliability.png")
POOLED = "hf_bones_pooled"  # model_type of a `training.backbone.pooling.PooledClassifier`; named here, since a card needs no torch
NOT_RECORDED = "not recorded"

# Licences under which a trained model may be passed on with attribution. Anything else is named in the card and left to the reader.
CLEAR_LICENCES = {
    "cc-by-4.0",
    "cc-by-3.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc0-1.0",
    "apache-2.0",
    "mit",
    "public-domain",
    "licenseref-public-domain",
    "licenseref-pd",
    "drawn",
}


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
    from hf_bones.hub.card_candidates import candidates_table
    from hf_bones.hub.card_decision import decision_lines
    from hf_bones.hub.card_figures import drawn_sentence, measured_table, validation_table  # with sklearn and matplotlib behind it

    config = read_json(folder / CONFIG_FILE)
    record = read_json(folder / RECORD_FILE) if (folder / RECORD_FILE).is_file() else {}
    metrics = read_json(folder / METRICS_FILE) if (folder / METRICS_FILE).is_file() else {}
    decision = read_decision(folder)
    scheme = decision.scheme if decision else scheme_of(config, str(folder))
    title = name or folder.resolve().name
    data, distillation, recipe = (_mapping(record.get(key)) for key in ("data", "distillation", "recipe"))
    licences = [*_names(data.get("licences")), *further_licences(distillation)]
    looks = record.get("test_looks")
    packages = _mapping(_mapping(record.get("environment")).get("packages"))
    return render(
        "hub/card.md.j2",
        front_matter=_front_matter(record, data, licences),
        title=title,
        record=record,
        data=data,
        recipe=recipe,
        distillation=distillation,
        about=_about(config, folder, record, scheme),
        definitions=[(each.name, each.definition) for each in scheme.classes],
        beyond_repair=BEYOND_REPAIR in scheme.names,
        label_noise=str(data.get("label_noise") or NOT_RECORDED).rstrip("."),
        dataset=_place(data.get("dataset")),
        counted=_counted,
        unclear=list(dict.fromkeys(name for name in licences if name.casefold() not in CLEAR_LICENCES)),
        splits=_splits(data),
        worth=worth_rows(distillation),
        measured=measured_table(metrics, scheme) if metrics else "",
        looks=len(looks) if isinstance(looks, list) else None,
        seen=len(read_seen_films(folder / SEEN_FILE)) if (folder / SEEN_FILE).is_file() else None,
        validation=validation_table(_mapping(_mapping(record.get("metrics")).get("validation")), scheme),
        drawn_films=drawn_sentence(record),
        candidates=candidates_table(record),
        decision=decision,
        decided=decision_lines(decision, metrics) if decision else [],
        model=title if HUB_ID.fullmatch(title) else "PATH_OR_ID",
        pooled=config.get("model_type") == POOLED,
        boxes=_mapping(recipe.get("training")).get("box_loss"),
        packages=", ".join(f"{package} {version}" for package, version in packages.items()),
    )


def _front_matter(record: Mapping[str, Any], data: Mapping[str, Any], licences: Sequence[str]) -> str:
    clear = bool(licences) and all(licence.casefold() in CLEAR_LICENCES for licence in licences)
    matter: dict[str, Any] = {"license": "apache-2.0"} if clear else {"license": "other", "license_name": "see-training-data"}
    matter |= {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "radiography", "x-ray", "bone-fracture", "hf-bones"],
    }
    # Only what the record calls a Hub id: `data/bones` or `runs/first` looks like one and is a folder.
    if HUB_ID.fullmatch(str(record.get("base_model_id") or "")):
        matter["base_model"] = record["base_model_id"]
    if HUB_ID.fullmatch(str(data.get("dataset_id") or "")):
        matter["datasets"] = [data["dataset_id"]]
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)


def _about(config: Mapping[str, Any], folder: Path, record: Mapping[str, Any], scheme: LabelScheme) -> list[tuple[str, str]]:
    processor = folder / PROCESSOR_FILE
    size = f"{spec_from_processor(read_json(processor), str(processor)).size} px" if processor.is_file() else NOT_RECORDED
    weights = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    rows = [
        ("Task", f"one radiograph of a bone → {', '.join(scheme.names)}"),
        ("Architecture", str((config.get("architectures") or [NOT_RECORDED])[0])),
        ("Started from", _place(record.get("base_model"))),
        ("Input", f"grey, aspect ratio kept, long side {size}, padded to a square"),
        ("Weights", f"{weights / 1e6:.1f} MB, safetensors" if weights else NOT_RECORDED),
    ]
    if config.get("model_type") == POOLED:
        rows.append(("Needs", f"hf-bones installed: pooling by {config.get('pooling')} over patches is not part of transformers"))
    return rows


def _splits(data: Mapping[str, Any]) -> list[list[str]]:
    """Head and rows of a table of images by split and label; empty where they were not counted."""
    splits = {split: by for split, by in _mapping(data.get("counts")).items() if isinstance(by, Mapping)}
    names = list(dict.fromkeys(label for by in splits.values() for label in by))
    rows = [[split, *(str(by.get(label, 0)) for label in names)] for split, by in splits.items()]
    return [["split", *names], *rows] if rows else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(licences: Any) -> list[str]:
    """Names from a list, or from a mapping of name to count."""
    return [str(name) for name in licences] if isinstance(licences, (Mapping, list, tuple)) else []


def _counted(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{name} ({count})" for name, count in value.items())
    return ", ".join(_names(value)) or NOT_RECORDED


def _place(name: Any) -> str:
    """A dataset or model as recorded; of an absolute path only the last part, since the rest is somebody's own."""
    return public_name(str(name) if name else NOT_RECORDED)
