"""The gate: what share of pictures that are no bone radiograph it refuses, kind by kind, and of films; the same beside pytorch-ood.

A part of `decide.py`. Test rows of FracAtlas are judged, training and validation rows fit the peers. Of the hard cases those that are no
film are a kind each by their names; beside them stand images that installed packages ship, and drawn pictures of every kind of
`evaluation/gate/not_films.py`. Colour counts where files have it; `grey` pictures are the same without.
"""

from __future__ import annotations

import csv
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from harness import VENVS, Bar, bar, peer_venv, run_worker
from tqdm import tqdm

from hf_bones.dataset.drawn.radiograph import MODES, draw_set
from hf_bones.evaluation.gate.fit import features_of
from hf_bones.evaluation.gate.not_films import KINDS, draw_kind
from hf_bones.evaluation.gate.of_checkpoint import evenly
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.inference.finding import NOT_A_BONE_XRAY, Finding
from hf_bones.inference.predictor import BonePredictor

PEERS = ("pytorch-ood==0.4.0", "scikit-learn")
ALL, WORST, LEAST_OF_A_KIND = 0.95, 0.80, 10  # the share of all that is refused, of the worst kind, and how many make a kind
FRACATLAS, ELSEWHERE = 0.02, 0.05
LATENCY = 0.05
COMPARED = 300  # films of train, and of validation, that the peers are given
SHIPPED = {
    "photograph": ("sklearn/datasets/images/*.jpg", "gradio/media_assets/images/*.jpg", "gradio/media_assets/images/bus.png"),
    "logo or icon": ("matplotlib/mpl-data/images/*_large.png", "gradio/media_assets/images/*logo*.png"),
    "CT or MRI, DICOM": (
        "pydicom/data/test_files/*CT_small.dcm",
        "pydicom/data/test_files/MR_small.dcm",
        "pydicom/data/test_files/693_*.dcm",
    ),
}
_NO_FILM = ("valid_image_not_xray", "valid_image_not_single_xray")
_SEED = 50_000
Kinds = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class Asked:
    """FracAtlas test rows and what the checkpoint finds on them, what it finds on films elsewhere, and the source of each of these."""

    rows: Any
    test: list[Finding]
    elsewhere: list[Finding]
    sources: np.ndarray


def bars(
    predictor: BonePredictor,
    splits: Any,
    asked: Asked,
    hard_cases: Path,
    pictures: Path | None = None,
    *,
    few: int | None = None,
    peers: bool = True,
) -> list[Bar]:
    """Every bar of the gate. `few`: at most so many images of each kind and source. Raises SystemExit for a checkpoint without a gate."""
    if predictor.gate is None:
        raise SystemExit(f"{predictor.checkpoint}: it has no gate; fit one with hf_bones.evaluation.gate.fit")
    found = kind_bars(
        predictor, {**hard_kinds(hard_cases), **shipped_kinds(), **drawn_kinds(asked.rows, few or 12), **folder_kinds(pictures)}, few
    )
    found += film_bars("FracAtlas test", asked.test, FRACATLAS)
    found += film_bars("elsewhere", asked.elsewhere, ELSEWHERE)
    for source in sorted(set(asked.sources.tolist())):
        found += film_bars(source, [one for one, own in zip(asked.elsewhere, asked.sources, strict=True) if own == source], None)
    limbs = [film.pixels for mode in MODES for film in draw_set(few or 30, seed=_SEED, size=predictor.spec.size, mode=mode)]
    found += film_bars("drawn films", predictor.predict(limbs), ELSEWHERE)
    found += [latency_bar(predictor, limbs[: few or 16])]
    return found + (peer_bars(predictor, splits, few) if peers else [])


def hard_kinds(folder: Path) -> Kinds:
    """The files of cases.csv that are no film, by the first word of their names; mosaics are a kind of their own."""
    kinds: Kinds = {}
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["expected"] in _NO_FILM:
                kinds.setdefault(f"{re.split(r'[_.]', row['file'])[0]} (hard cases)", []).append(folder / row["file"])
    return kinds


def shipped_kinds() -> Kinds:
    """Images that installed packages ship."""
    kinds: Kinds = {}
    for kind, patterns in SHIPPED.items():
        for pattern in patterns:
            package, _, rest = pattern.partition("/")
            spec = find_spec(package)
            if spec is not None and spec.origin is not None:
                kinds.setdefault(f"{kind} (packages)", []).extend(sorted(Path(spec.origin).parent.glob(rest)))
    return kinds


def drawn_kinds(films: Any, count: int) -> Kinds:
    """Drawn pictures of each kind; mosaics are of test films."""
    cells = [open_image(image).pixels for image in films["image"][:64]]
    return {f"{kind} (drawn)": [draw_kind(kind, _SEED + number, cells) for number in range(count)] for kind in KINDS}


def folder_kinds(folder: Path | None) -> Kinds:
    """Each folder in a folder is a kind."""
    if folder is None:
        return {}
    return {
        f"{kind.name} (pictures)": sorted(path for path in kind.iterdir() if path.is_file())
        for kind in sorted(folder.iterdir())
        if kind.is_dir()
    }


def kind_bars(predictor: BonePredictor, kinds: Mapping[str, Sequence[Any]], few: int | None) -> list[Bar]:
    """The share of each kind that is refused as no bone radiograph, with its colour and as grey pixels alone; of all, and of the worst."""
    shares: dict[str, tuple[float, float, int]] = {}
    for kind, sources in tqdm(kinds.items(), desc="kinds"):
        pairs = list(_readable(sources[:few]))
        if pairs:
            coloured = [finding.verdict == NOT_A_BONE_XRAY for finding in predictor.predict([source for source, _ in pairs])]
            drawn = isinstance(pairs[0][0], np.ndarray)  # which have no colour
            grey = coloured if drawn else [one.verdict == NOT_A_BONE_XRAY for one in predictor.predict([pixels for _, pixels in pairs])]
            shares[kind] = float(np.mean(coloured)), float(np.mean(grey)), len(pairs)
    total = sum(count for *_, count in shares.values())
    every = [sum(own[which] * own[2] for own in shares.values()) / total for which in (0, 1)]
    counted = {kind: own for kind, own in shares.items() if own[2] >= LEAST_OF_A_KIND} or shares
    worst = min(counted, key=lambda kind: counted[kind][0])
    return [
        bar("refused, all kinds", every[0], n=total, target=ALL),
        bar("refused, all kinds as grey pixels", every[1], n=total),
        bar(f"refused, worst kind with {LEAST_OF_A_KIND} or more: {worst}", counted[worst][0], n=counted[worst][2], target=WORST),
        *(bar(f"refused: {kind}", own[0], n=own[2]) for kind, own in shares.items()),
        *(bar(f"refused as grey pixels: {kind}", own[1], n=own[2]) for kind, own in shares.items() if own[1] != own[0]),
    ]


def film_bars(name: str, findings: Sequence[Finding], target: float | None) -> list[Bar]:
    """The shares of films that are refused as no bone radiograph, and referred as unfamiliar."""
    readable = [finding for finding in findings if finding.readable]
    refused = float(np.mean([finding.verdict == NOT_A_BONE_XRAY for finding in readable]))
    unfamiliar = float(np.mean([finding.unfamiliar for finding in readable]))
    return [
        bar(f"films refused, {name}", refused, n=len(readable), target=target, at_most=True),
        bar(f"films unfamiliar, {name}", unfamiliar, n=len(readable)),
    ]


def latency_bar(predictor: BonePredictor, pixels: Sequence[np.ndarray], rounds: int = 5) -> Bar:
    """By what share the gate lengthens a prediction: the fastest of a few rounds with it over the fastest without it, in turn."""
    gate = predictor.gate
    took: dict[bool, list[float]] = {True: [], False: []}
    predictor.predict(pixels[:1])
    for _ in range(rounds):
        for with_gate in (True, False):
            predictor.gate = gate if with_gate else None
            begun = time.perf_counter()
            predictor.predict(list(pixels))
            took[with_gate].append(time.perf_counter() - begun)
    predictor.gate = gate
    return bar("latency added by the gate", min(took[True]) / min(took[False]) - 1, n=len(pixels), target=LATENCY, at_most=True)


def peer_bars(predictor: BonePredictor, splits: Any, few: int | None) -> list[Bar]:
    """What the gate's score and pytorch-ood's refuse of drawn pictures at 2 % of FracAtlas validation, all from the same features.

    The peers take one feature vector: those of all depths in a row.
    """
    assert predictor.gate is not None
    pixels = {
        part: [open_image(image).pixels for image in _spread(_fracatlas(splits[part], few and 20 * few))["image"]]
        for part in ("train", "validation")
    }
    pixels["drawn"] = [draw_kind(kind, _SEED + number, pixels["train"][:64]) for kind in KINDS for number in range(few or 12)]
    seen = {part: features_of(predictor, own).features for part, own in pixels.items()}
    rows = {("films" if part == "train" else part): np.concatenate(own, axis=1) for part, own in seen.items()}
    scores = {"hf_bones": {part: predictor.gate.score(own) for part, own in seen.items()}}
    programs = peer_venv(VENVS / "pytorch-ood", *PEERS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npz"
        np.savez(path, allow_pickle=False, **rows)
        for peer in ("mahalanobis", "knn"):
            scores[f"pytorch-ood {peer}"] = run_worker("decide_gate_peers.py", peer, path, python=programs / "python")
    found = []
    for who, own in scores.items():
        limit = np.quantile(np.array(own["validation"]), 1 - FRACATLAS)
        share = float((np.array(own["drawn"]) > limit).mean())
        found.append(
            bar(
                f"drawn pictures refused by the features alone, {who}",
                share,
                n=len(pixels["drawn"]),
                peer=None if who == "hf_bones" else who,
            )
        )
    return found


def _fracatlas(rows: Any, few: int | None) -> Any:
    own = rows.select([row for row, source in enumerate(rows["source"][:]) if source == "fracatlas"])
    return own if few is None else own.select(range(min(few * 10, len(own))))


def _spread(rows: Any) -> Any:
    """`COMPARED` rows at most, evenly spread."""
    return rows.select(evenly(len(rows), COMPARED))


def _readable(sources: Sequence[Any]) -> Iterator[tuple[Any, np.ndarray]]:
    """Sources that can be opened, with their grey pixels."""
    for source in sources:
        try:
            yield source, open_image(source).pixels
        except ImageRefusedError:
            continue
