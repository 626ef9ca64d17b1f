"""A checkpoint's answers to a site's films, and what is measured of each film and its features on the way. Each film is opened once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_bones.curation.duplicates.film_code import film_codes_every_way
from hf_bones.evaluation.report.baselines import STATISTICS, image_statistics
from hf_bones.evaluation.seen import SeenRows
from hf_bones.evaluation.site.films import SiteFilms
from hf_bones.images.opening import DEFAULT_LIMITS, Limits, Radiograph
from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.inference.checkpoint import find_seen_films
from hf_bones.metrics.figures import Floats

if TYPE_CHECKING:
    from hf_bones.inference.finding import Finding
    from hf_bones.inference.predictor import BonePredictor

# Of what is measured of each film: what scanners, exposure and export change.
INPUTS = ("long_side", "aspect", "mean", "deviation", "share_black", "share_white", "percentile_5", "percentile_50", "percentile_95")


@dataclass(frozen=True, eq=False)
class ScoredFilms:
    """What was found on N films, in the order of the table.

    findings: one a film, `unreadable` ones included. hashes: SHA-256 of each file, "" for one that is not there. inputs: name → (N,)
    measured of the pixels, NaN where a film could not be opened. kinds: column of the file ("file format", "pixels as stored") → N words.
    features: (N, F) what the head of the network reads, rows of NaN where there is none; None where the network gives none. seen: which
    films the checkpoint had before.
    """

    findings: Sequence[Finding]
    hashes: Sequence[str]
    inputs: Mapping[str, Floats]
    kinds: Mapping[str, Sequence[str]]
    features: Floats | None
    seen: SeenRows
    notes: tuple[str, ...] = ()


@dataclass
class _Watch:
    """Opens films and notes what they are, by their file."""

    processes: OpeningProcesses
    wanted: bool  # whether codes are needed, to know films again that were seen in training
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    codes: dict[str, Any] = field(default_factory=dict)

    def open(self, source: Any, limits: Limits = DEFAULT_LIMITS) -> Radiograph:
        film, key = self.processes.open(source, limits), str(source)
        if key not in self.measured:
            values = dict(zip(STATISTICS, image_statistics(film.pixels), strict=True))
            values["long_side"], values["aspect"] = max(film.original_size), film.pixels.shape[1] / film.pixels.shape[0]
            self.measured[key] = {name: float(values[name]) for name in INPUTS}
            self.kinds[key] = film.source_format, film.source_mode
            if self.wanted:
                self.codes[key] = film_codes_every_way(film.pixels)
        return film


def score_films(predictor: BonePredictor, films: SiteFilms, batch_size: int) -> ScoredFilms:
    """A finding for each film, with a progress bar. Files are opened in a process of their own, each with a deadline."""
    from tqdm import tqdm

    paths = [str(row.file) for row in films.rows]
    seen = find_seen_films(predictor.checkpoint, predictor.revision)
    caught: list[np.ndarray] = []
    with OpeningProcesses() as processes:
        watch = _Watch(processes, seen is not None)
        release = _watch_features(predictor, caught)
        try:
            found = predictor.predict_iter(paths, batch_size=batch_size, opener=watch.open)
            findings = list(tqdm(found, total=len(paths), unit="film", desc="score", disable=None))
        finally:
            release()
    hashes = [_hash(Path(path)) for path in paths]
    how = None if seen is None else tuple(seen.find(key, partial(_codes, watch, path)) for key, path in zip(hashes, paths, strict=True))
    features, notes = _rows_of(caught, findings)
    inputs = {name: np.array([watch.measured.get(path, {}).get(name, np.nan) for path in paths]) for name in INPUTS}
    kinds = {
        name: [watch.kinds[path][place] if path in watch.kinds else "" for path in paths]
        for place, name in enumerate(("file format", "pixels as stored"))
    }
    return ScoredFilms(findings, hashes, inputs, kinds, features, SeenRows(how), notes)


def _codes(watch: _Watch, path: str) -> Any:
    return watch.codes.get(path, np.zeros((0, 4), np.uint64))


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _watch_features(predictor: BonePredictor, caught: list[np.ndarray]) -> Any:
    """Notes what the network's head reads at each pass; returns what ends that. A classifier without a linear head gives nothing."""
    from hf_bones.training.backbone.loading import head_of

    try:
        head = head_of(predictor.model)
    except ValueError:
        return lambda: None

    def note(_: Any, inputs: tuple[Any, ...]) -> None:
        caught.append(inputs[0].detach().float().flatten(1).cpu().numpy())

    return head.register_forward_pre_hook(note).remove


def _rows_of(caught: list[np.ndarray], findings: Sequence[Finding]) -> tuple[Floats | None, tuple[str, ...]]:
    """Features as one row a film, in the order of the findings."""
    read = np.array([finding.readable for finding in findings], dtype=bool)
    rows = np.concatenate(caught) if caught else np.zeros((0, 0))
    if not len(rows) or len(rows) != read.sum():
        return None, ("The features of the network are not compared: this network does not give one row of them a film.",)
    table = np.full((len(findings), rows.shape[1]), np.nan)
    table[read] = rows
    return table, ()
