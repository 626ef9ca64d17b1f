"""The folder in which the blocks of a page are run: films of one's own, all drawn, and what the repository has beside them."""

from __future__ import annotations

import csv
import functools
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blocks import ROOT, Block
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.drawn.radiograph import DrawnRadiograph, draw_radiograph
from hf_bones.inference.checkpoint import BUNDLED, find_checkpoint
from hf_bones.labels import THREE_CLASS

PER_LABEL = 12


def prepare(folder: Path) -> None:
    """films/ with a folder a label, films.csv over it, new_films/ without labels and with a DICOM file, scripts/ and demo/ of the tree."""
    rows = []
    for index, label in enumerate(THREE_CLASS.names):
        (folder / "films" / label).mkdir(parents=True)
        for number in range(PER_LABEL):
            drawn = film(1000 * index + number, label)
            Image.fromarray(drawn.pixels).save(folder / "films" / label / f"{number:02}.png")
            rows.append((f"films/{label}/{number:02}.png", label, f"patient-{index}-{number // 2}", drawn.region, "own", "CC0-1.0"))
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "label", "group", "region", "source", "licence"), *rows])
    (folder / "new_films").mkdir()
    for number, name in enumerate(("wrist.png", "hand.png")):
        Image.fromarray(film(9000 + number).pixels).save(folder / "new_films" / name)
    write_dicom(folder / "new_films" / "ankle.dcm", film(9002).pixels)
    for name in ("scripts", "demo"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)


@functools.cache
def film(seed: int, label: str | None = None) -> DrawnRadiograph:
    """One drawn film; the same for every page, so it is drawn once."""
    return draw_radiograph(seed, label, size=200)


def write_dicom(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """An 8-bit DICOM file of one grey film, as a digital detector names it."""
    image = Dataset()
    image.Modality, image.BodyPartExamined = "DX", "ANKLE"
    image.SOPClassUID, image.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = "drawn", generate_uid(), generate_uid()
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.PixelData = pixels.tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)


def leave(folder: Path, block: Block) -> None:
    """Puts stand-ins where a heavy block would have left something: a dataset under data/, a checkpoint elsewhere."""
    for place in block.leaves:
        made = folder / place
        if made.exists():
            continue
        if Path(place).parts[0] == "data":
            build_command([str(folder / "films")], made, BuildChoices())
        else:
            shutil.copytree(find_checkpoint(BUNDLED).folder, made)


def copy_tree(folder: Path) -> None:
    """A copy of what the repository tracks, for pages whose patches change it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in listed.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def apply_patch(folder: Path, block: Block, *, check: bool = False) -> str:
    """Applies a patch of a page to a copy of the tree. Returns what git says of one that does not fit, "" where it does."""
    command = ["git", "apply", "--recount", *(["--check"] if check else []), "-"]
    # A folder inside another repository would have the patch applied to that one.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
    done = subprocess.run(command, input=block.text, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    return done.stderr.strip() if done.returncode else ""
