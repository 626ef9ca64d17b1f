"""What is curated: a manifest, and a way to the bytes of its images.

Checks, near-duplicates, splits and the review all work on a `Subject`, whether its images are the files of a collection or the rows of a
built dataset (`dataset/subject.py` opens either).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hf_bones.images.salvage import complete, salvaged_share
from hf_bones.manifest.foreign import read_own, require_sound
from hf_bones.manifest.store import ImageRecord, Manifest, open_manifest

COLLECTION_KIND, DATASET_KIND = "collection", "dataset"


@dataclass(frozen=True, eq=False)
class Subject:
    """A set of images under curation. Use as a context manager; closing it closes the manifest.

    `read` gives the bytes of an image as they are stored (to be opened with `open_image`), of a salvaged one with an end marker put
    on; it may be called from threads and raises OSError where they are not there, or are not those of the manifest's hash. `kind` is
    "collection" or "dataset".
    """

    manifest: Manifest
    read: Callable[[ImageRecord], bytes]
    kind: str

    @property
    def folder(self) -> Path:
        """Where the manifest lies: the collection's folder, or the dataset's."""
        return self.manifest.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.manifest.connection.close()


def collection_subject(folder: Path) -> Subject:
    """The collection in `folder`, whose manifest may be a stranger's. Raises `ManifestError` where there is none, or it is not sound."""
    manifest = open_manifest(folder)
    require_sound(manifest)

    def read(record: ImageRecord) -> bytes:
        data = read_own(manifest.folder, record.file, record.sha256)
        return data if salvaged_share(record.marks) is None else complete(data)

    return Subject(manifest, read, COLLECTION_KIND)
