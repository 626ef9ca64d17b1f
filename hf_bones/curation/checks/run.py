"""Checks of all images of a collection or a built dataset: what each reason measures goes into the manifest, and what is past its threshold
is flagged.

Every value of every image is kept, so that changed thresholds judge again without opening anything, and a run that was stopped resumes
where it was. Nothing is deleted, and nothing is decided unless reasons to drop for are named. Refused files of a collection are judged
too: as truncated where they were only cut off, else as unreadable. Not here: measures (`measuring.py`), salvage (`upkeep/salvaging.py`),
report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from tqdm import tqdm

from hf_bones.collect.examine import worker_pool
from hf_bones.collect.upkeep.salvaging import RefusedFile, read_cut_off, refused_files
from hf_bones.curation.checks.measuring import VERSION, CheckValue, measure, unreadable
from hf_bones.curation.checks.reasons import RULES, Reason
from hf_bones.curation.in_order import in_order
from hf_bones.curation.recipe import CheckSettings
from hf_bones.curation.subject import COLLECTION_KIND, Subject
from hf_bones.images.salvage import NotSalvageableError, salvaged_share
from hf_bones.manifest.store import ImageRecord, Manifest
from hf_bones.record import now

DECIDED_BY = "checks"
_VERSION_FACT = "checks_version"
_AT_ONCE = 16  # images a task, and a transaction
_AHEAD = 3  # tasks a worker that are read before their turn
_TOO_FEW = 3 * _AT_ONCE  # images for which starting processes takes longer than measuring

_Values = Mapping[Reason, CheckValue]
_Row = tuple[str, _Values]
_WORDS = ", ".join(f"'{reason}'" for reason in Reason)
_MEASURED = f"""
SELECT sha256 FROM checks WHERE reason IN ({_WORDS}) GROUP BY sha256
HAVING count(*) = {len(Reason)} AND NOT max(reason = '{Reason.UNREADABLE}' AND flagged)
"""
_DECIDED_BY_PERSONS = "SELECT DISTINCT sha256 FROM decisions WHERE decided_by != ? AND decided_by NOT LIKE 'curate %'"  # those are programs
# What there is to say something of: images, and files that were refused as undecodable.
_THERE = "(sha256 IN (SELECT sha256 FROM images WHERE file != '') OR sha256 IN (SELECT sha256 FROM fetches WHERE state = 'refused'))"


@dataclass(frozen=True)
class ReasonSummary:
    """What a reason found: `flagged` of the `measured`, the `worst` value (None where nothing was measured) and the threshold."""

    reason: Reason
    flagged: int
    measured: int
    worst: float | None
    threshold: float


@dataclass(frozen=True)
class CheckRun:
    """What a run did: images measured now, those known from before, and the summary of each reason over all."""

    measured: int
    known: int
    summaries: tuple[ReasonSummary, ...]


def run_checks(
    subject: Subject, settings: CheckSettings, *, workers: int = 2, batch: int = _AT_ONCE, show_progress: bool = False
) -> CheckRun:
    """Measures the images that are not measured yet, in `workers` processes, and judges all by the thresholds of `settings`.

    Each batch is written when it is measured: what a killed run had written stays. Images that could not be opened are tried again. Raises
    ValueError for a threshold that makes no sense.
    """
    manifest = subject.manifest
    _forget_older_version(manifest)
    known = {row[0] for row in manifest.rows(_MEASURED)}
    records = [record for record in manifest.images() if record.file]
    todo = [record for record in records if record.sha256 not in known]
    with tqdm(total=len(todo), desc="checks", unit="img", disable=not show_progress, smoothing=0.05) as bar:
        for rows in _measure_all(subject, todo, workers, batch):
            _write(manifest, rows, settings)
            bar.update(len(rows))
    if subject.kind == COLLECTION_KIND:
        _judge_refused(manifest, settings)
    _judge_all(manifest, settings)
    return CheckRun(len(todo), len(records) - len(todo), tuple(summaries(manifest, settings)))


def summaries(manifest: Manifest, settings: CheckSettings) -> Iterator[ReasonSummary]:
    """The summary of each reason, from what is in the manifest."""
    for reason, rule in RULES.items():
        end = "min" if rule.below else "max"
        row = manifest.connection.execute(
            f"SELECT coalesce(sum(flagged), 0), count(value), {end}(value) FROM checks WHERE reason = ? AND {_THERE}", (reason,)
        ).fetchone()
        yield ReasonSummary(reason, row[0], row[1], row[2], rule.threshold(settings))


def drop_flagged(manifest: Manifest, reasons: Collection[Reason]) -> tuple[int, int]:
    """Appends a drop for each image that is flagged for one of `reasons`; returns how many were dropped, and how many drops taken back.

    An image about which a person has decided anything is left alone. An earlier drop of this function is taken back where its image is
    no longer flagged for what it was dropped for.
    """
    dropped = taken_back = 0
    with manifest.transaction():
        others = {row[0] for row in manifest.rows(_DECIDED_BY_PERSONS, (DECIDED_BY,))}
        flagged: dict[str, dict[str, str]] = {}
        for row in manifest.rows(f"SELECT * FROM checks WHERE flagged AND reason IN ({_WORDS})"):
            flagged.setdefault(row["sha256"], {})[row["reason"]] = f"{row['reason']}: {row['value']:.4g}, threshold {row['threshold']:.4g}"
        for record in list(manifest.images()):
            if record.sha256 in others:
                continue
            found = flagged.get(record.sha256, {})
            if record.decided_by == DECIDED_BY and record.decision_reason.partition(":")[0] not in found:
                last = max(
                    log.id for log in manifest.decisions("d.sha256 = ?", (record.sha256,)) if log.decision == "drop" and not log.undone
                )
                manifest.undo(last, DECIDED_BY)
                taken_back += 1
                record = manifest.image(record.sha256) or record
            why = [found[reason] for reason in Reason if reason in reasons and reason in found]
            if why and record.decision != "drop":
                manifest.decide(record.sha256, "drop", "; ".join(why), DECIDED_BY)
                dropped += 1
    return dropped, taken_back


def cut_off_shares(manifest: Manifest) -> list[float]:
    """The share of its rows that each refused file has which was only cut off, in [0, 1]."""
    sql = "SELECT value FROM checks WHERE reason = ? AND value IS NOT NULL AND sha256 NOT IN (SELECT sha256 FROM images)"
    return [row[0] for row in manifest.rows(sql, (Reason.TRUNCATED,))]


def _forget_older_version(manifest: Manifest) -> None:
    """Values of other measures than these are measured anew."""
    if manifest.fact(_VERSION_FACT) != str(VERSION):
        with manifest.transaction() as connection:
            connection.execute(f"DELETE FROM checks WHERE reason IN ({_WORDS})")
            manifest.set_fact(_VERSION_FACT, str(VERSION))


def _measure_all(subject: Subject, records: Sequence[ImageRecord], workers: int, batch: int) -> Iterator[list[_Row]]:
    """Measured rows, a batch at a time, in order; only a few batches are held in memory."""
    batches = (records[start : start + batch] for start in range(0, len(records), batch))
    read = ([(record.sha256, *_read(subject, record)) for record in some] for some in batches)
    if workers < 2 or len(records) <= _TOO_FEW:
        yield from map(_measure_batch, read)
        return
    pool = worker_pool(workers)
    try:
        yield from in_order(pool, _measure_batch, read, _AHEAD * workers)
    except BrokenProcessPool as error:
        raise ValueError(
            f"{subject.folder}: a process that measures images died: out of memory, or a decoder crashed. What was measured is kept; run "
            "it again with --workers 1 to see at which image"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _read(subject: Subject, record: ImageRecord) -> tuple[bytes | str, float]:
    """The bytes of an image (or why there are none), and the share of its rows that is its own."""
    share = salvaged_share(record.marks)
    rows = 1.0 if share is None else share
    try:
        return subject.read(record), rows
    except OSError as error:
        return error.strerror or type(error).__name__, rows


def _measure_batch(images: Sequence[tuple[str, bytes | str, float]]) -> list[_Row]:
    return [
        (sha256, unreadable("unreadable_file", data) if isinstance(data, str) else measure(data, rows)) for sha256, data, rows in images
    ]


def _write(manifest: Manifest, rows: Sequence[_Row], settings: CheckSettings) -> None:
    at = now()
    with manifest.transaction() as connection:
        for sha256, values in rows:
            for reason, measured in values.items():
                rule = RULES[reason]
                threshold = rule.threshold(settings)
                flagged = rule.is_flagged(measured.value, threshold)
                # What is forgotten in the meantime must not leave a trace.
                connection.execute(
                    "INSERT OR REPLACE INTO checks SELECT ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE value = ?)",
                    (sha256, reason, measured.value, threshold, flagged, measured.detail, at, sha256),
                )


def _judge_refused(manifest: Manifest, settings: CheckSettings) -> None:
    """Values for refused files that have none yet: the share of the rows that is there, or that they cannot be read."""
    known = {row[0] for row in manifest.rows("SELECT DISTINCT sha256 FROM checks")}
    for file in refused_files(manifest):
        if file.sha256 not in known:
            _write(manifest, [(file.sha256, _look_at_refused(file))], settings)


def _look_at_refused(file: RefusedFile) -> _Values:
    try:
        _, salvaged = read_cut_off(file)
    except NotSalvageableError as error:
        return {Reason.UNREADABLE: CheckValue(1.0, f"{file.detail}; {error}")}
    return {Reason.TRUNCATED: CheckValue(salvaged.share, f"{salvaged.rows} of {salvaged.height} rows are there")}


def _judge_all(manifest: Manifest, settings: CheckSettings) -> None:
    """Thresholds that have changed since a value was judged: judged by those of `settings`."""
    with manifest.transaction() as connection:
        for reason, rule in RULES.items():
            threshold = rule.threshold(settings)
            connection.execute(
                f"UPDATE checks SET threshold = :at, flagged = coalesce(value {'<' if rule.below else '>'} :at, 0)"
                " WHERE reason = :reason AND threshold IS NOT :at",
                {"at": threshold, "reason": reason},
            )
