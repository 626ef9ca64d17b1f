"""An audit from a checkpoint and a dataset to its page: what `hf-bones audit` does.

Answers and features are kept on disk as they are made: the same command resumes, and another choice of parts computes only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.choices import (
    BREAKS,
    FLIPS,
    FOREST,
    LABELS,
    LEFT_OUT,
    MASKED,
    PARTS,
    PREVALENCE,
    READ,
    SOURCES,
    AuditChoices,
)  # fmt: skip
from hf_bones.evaluation.audit.report import AuditSetup, write_audit
from hf_bones.evaluation.audit.results import Audit, Section
from hf_bones.evaluation.audit.sections.asked_again import flips_part, masked_part
from hf_bones.evaluation.audit.sections.forest import forest_part
from hf_bones.evaluation.audit.sections.labels import labels_part
from hf_bones.evaluation.audit.sections.left_out import left_out_part
from hf_bones.evaluation.audit.sections.parts import breaks_part, parts_part
from hf_bones.evaluation.audit.sections.prevalence import prevalence_part
from hf_bones.evaluation.audit.sections.read import read_part
from hf_bones.evaluation.audit.sections.sources import sources_part
from hf_bones.evaluation.report.cautions import cautions
from hf_bones.evaluation.report.looks import count_look_somewhere, own_folder
from hf_bones.evaluation.report.run import OPEN_SPLITS, load_splits
from hf_bones.evaluation.seen import seen_words
from hf_bones.record import public_name

MEASURES: Mapping[str, Callable[[Audited], Section]] = {
    SOURCES: sources_part,
    READ: read_part,
    FOREST: forest_part,
    MASKED: masked_part,
    BREAKS: breaks_part,
    PARTS: parts_part,
    LEFT_OUT: left_out_part,
    FLIPS: flips_part,
    PREVALENCE: prevalence_part,
    LABELS: labels_part,
}


# What needs no answer to a film of the split, so that it costs no look.
_WITHOUT_ANSWERS = {SOURCES, READ, LEFT_OUT, LABELS}


def audit(model: str, dataset: str, out: Path, choices: AuditChoices = AuditChoices(), *, command: str = "") -> Audit:  # noqa: B008 - frozen
    """Audits `model` ("bundled", a folder or a Hub id) on `dataset` (a folder or a Hub id) and writes audit.html, audit.md, audit.json
    and the pictures into `out`.

    A look at a split other than train and validation is counted where its answers are computed, not where they are read again.
    Raises ValueError for a split that is not there, a dataset with labelled rows of a class that the checkpoint lacks, or no film to score.
    """
    from hf_bones.inference.predictor import BonePredictor

    data = load_splits(dataset)
    require_split(data, choices.split, public_name(dataset))
    out.mkdir(parents=True, exist_ok=True)
    predictor = BonePredictor.from_pretrained(model, revision=choices.revision, device=choices.device)
    audited = Audited(model, predictor, data, out, choices)
    answered = bool(set(choices.parts) - _WITHOUT_ANSWERS)
    looks, looks_in = _look(audited, audited.answers().computed) if answered else (None, "")
    sections = [MEASURES[name](audited) for name in choices.parts]
    open_films = audited.open_films
    about = AuditSetup(
        checkpoint=public_name(model) if model != "bundled" else model,
        revision=predictor.revision,
        dataset=public_name(dataset),
        dataset_sha256=audited.films.rows.sha256,
        films=audited.rows.supports() if answered else audited.films.supports,
        groups=len(set(audited.rows.groups if answered else audited.films.rows.groups)),
        open_films=0 if open_films is None else len(open_films),
        choices=choices,
        resampling=audited.resampling,
        left_out=audited.left_out if answered else {},
        looks=looks,
        looks_in=looks_in,
        command=command,
        warnings=tuple(_warnings(audited)) if answered else (),
    )
    return write_audit(sections, about, out)


def _look(audited: Audited, computed: int) -> tuple[int | None, str]:
    """Counts a look where answers were computed in this run; how many there are, and the file that holds the count."""
    split, out = audited.choices.split, audited.out
    if split in OPEN_SPLITS or not computed:
        return None, ""
    looks, ledger = count_look_somewhere(own_folder(audited.model), out / "test_looks.json", split, audited.films.rows.sha256)
    return looks, ledger.name if ledger.parent == out else f"the checkpoint's {ledger.name}"


def _warnings(audited: Audited) -> list[str]:
    said = seen_words(audited.seen)
    told = [f"{said}: figures say how well it remembers them, too. Audit it on films that it never had."] if said else []
    kept = audited.films.rows.part.select(audited.readable.tolist())
    return [*told, *cautions(audited.rows, kept["sha256"][:] if "sha256" in kept.column_names else ())]
