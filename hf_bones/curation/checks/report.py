"""The report of the checks: one HTML page with pictures of the worst of each kind and how the values are spread, and a table of all values.

The page is self-contained, and its pictures are in the colours of the file, since colour is one of the reasons. Not here: measuring and
judging (`run.py`), what the page shows of it (`page.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_bones.collect.upkeep.salvaging import RefusedFile, read_cut_off, refused_files
from hf_bones.curation.checks.colour import colour_picture
from hf_bones.curation.checks.page import Card, Section, number, page
from hf_bones.curation.checks.reasons import RULES, Reason
from hf_bones.curation.recipe import CheckSettings
from hf_bones.curation.subject import COLLECTION_KIND, Subject
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.images.salvage import NotSalvageableError
from hf_bones.manifest.store import ImageRecord
from hf_bones.pages.pictures import data_url
from hf_bones.pages.tables import write_csv

PAGE_NAME, TABLE_NAME = "checks.html", "checks.csv"
_THUMBNAIL = 240  # px
_ALL_OR_NOTHING = (Reason.UNREADABLE, Reason.TRUNCATED)  # the others show their worst, flagged or not


@dataclass(frozen=True)
class _Value:
    sha256: str
    value: float | None
    flagged: bool
    detail: str


def write_report(subject: Subject, settings: CheckSettings, folder: Path, *, per_reason: int = 12) -> tuple[Path, Path]:
    """Writes the page and the table of what `run_checks` left in the manifest into `folder`; returns both paths.

    The page shows `per_reason` pictures of each kind, the worst first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = _read_values(subject)
    report = _Report(subject, values)
    sections = [report.section(reason, settings, per_reason) for reason in RULES]
    flagged = {one.sha256 for some in values.values() for one in some if one.flagged}
    many = f"{len(report.records):,} images" + (f" and {len(report.refused):,} refused files" if report.refused else "")
    introduction = f"{many}; {len(flagged):,} are flagged for one reason or more."
    page_path, table_path = folder / PAGE_NAME, folder / TABLE_NAME
    page_path.write_text(page(f"Checks of {subject.folder.resolve().name}", introduction, sections), encoding="utf-8")
    report.write_table(table_path)
    return page_path, table_path


def _read_values(subject: Subject) -> Mapping[Reason, list[_Value]]:
    """The values of each reason, the worst first; what could not be measured last."""
    found: dict[Reason, list[_Value]] = {reason: [] for reason in Reason}
    for row in subject.manifest.rows("SELECT sha256, reason, value, flagged, detail FROM checks ORDER BY sha256"):
        if row["reason"] in found:
            found[Reason(row["reason"])].append(_Value(row["sha256"], row["value"], bool(row["flagged"]), row["detail"]))
    for reason, some in found.items():
        sign = 1.0 if RULES[reason].below else -1.0
        some.sort(key=lambda one, sign=sign: float("inf") if one.value is None else sign * one.value)  # type: ignore[misc]
    return found


class _Report:
    """What sections and table are made of: images and refused files by hash, what each is flagged for, pictures made once."""

    def __init__(self, subject: Subject, values: Mapping[Reason, list[_Value]]) -> None:
        self._subject, self._values = subject, values
        self.records = {record.sha256: record for record in subject.manifest.images() if record.file}
        is_collection = subject.kind == COLLECTION_KIND
        self.refused = {file.sha256: file for file in refused_files(subject.manifest)} if is_collection else {}
        self._flags: dict[str, list[Reason]] = defaultdict(list)
        for reason in Reason:
            for one in values[reason]:
                if one.flagged:
                    self._flags[one.sha256].append(reason)
        self._pictures: dict[str, str] = {}

    def section(self, reason: Reason, settings: CheckSettings, per_reason: int) -> Section:
        rule = RULES[reason]
        there = [one for one in self._values[reason] if one.sha256 in self.records or one.sha256 in self.refused]
        flagged = sum(one.flagged for one in there)
        shown = [one for one in there if one.value is not None and (one.flagged or reason not in _ALL_OR_NOTHING)]
        shown = shown[: per_reason if flagged else per_reason // 2]  # where all is well a glance is enough
        return Section(
            rule=rule,
            values=[one.value for one in there if one.value is not None],
            threshold=rule.threshold(settings),
            flagged=flagged,
            cards=[self._card(one, reason) for one in shown],
            has_spread=reason not in _ALL_OR_NOTHING,
        )

    def _card(self, one: _Value, reason: Reason) -> Card:
        record = self.records.get(one.sha256)
        others = [other.words for other in self._flags[one.sha256] if other is not reason]
        lines = [
            one.detail,
            f"also {', '.join(others)}" if others else "",
            _description(record) if record else "refused",
            f"{record.decision}: {record.decision_reason}" if record and record.decision else "",
            one.sha256[:12],
        ]
        return Card(self._picture(one.sha256), number(one.value), tuple(line for line in lines if line), one.flagged)

    def _picture(self, sha256: str) -> str:
        """The image as a data URL; "" where it cannot be opened."""
        if sha256 not in self._pictures:
            self._pictures[sha256] = self._make_picture(sha256)
        return self._pictures[sha256]

    def _make_picture(self, sha256: str) -> str:
        try:
            data = self._subject.read(self.records[sha256]) if sha256 in self.records else read_cut_off(self.refused[sha256])[1].data
            picture = colour_picture(data, open_image(data), _THUMBNAIL)
        except (OSError, ImageRefusedError, NotSalvageableError):
            return ""  # the check of this image says why
        return data_url(picture)

    def write_table(self, path: Path) -> None:
        """A row an image and refused file: what it is, what it is flagged for, and each value."""
        by_hash: dict[str, dict[Reason, float | None]] = defaultdict(dict)
        for reason, some in self._values.items():
            for one in some:
                by_hash[one.sha256][reason] = one.value
        rows = []
        for sha256 in self.records | self.refused:
            values = ["" if (value := by_hash[sha256].get(reason)) is None else f"{value:.6g}" for reason in Reason]
            rows.append([sha256, *self._identity(sha256), ";".join(self._flags[sha256]), *values])
        write_csv(path, ["sha256", "file", "url", "source", "label", "decision", "marks", "flagged", *Reason], rows)

    def _identity(self, sha256: str) -> tuple[str, ...]:
        record = self.records.get(sha256)
        if record is not None:
            return record.file, record.url, record.provider, record.final_label, record.decision, record.marks
        file: RefusedFile = self.refused[sha256]
        return file.path.relative_to(self._subject.folder).as_posix(), file.urls[0], "", "", "refused", ""


def _description(record: ImageRecord) -> str:
    return " · ".join(word for word in (record.provider, record.final_label, record.region, record.marks) if word and word != "unknown")
