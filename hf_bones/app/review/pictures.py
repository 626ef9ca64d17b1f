"""Pictures of images for the browser: small ones kept in `thumbnails/` beside the manifest, large ones made when they are looked at.

Both come from `open_image`, in processes with a deadline, so that a reviewer sees what the model sees. A thumbnail is named by its
image's hash, as the images are, and is written whole or not at all; `hf-bones collection forget` deletes it with its image. Whatever cannot
be opened has no picture.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from hf_bones.curation.subject import Subject
from hf_bones.images.opening import ImageRefusedError, explain
from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.manifest.foreign import file_inside
from hf_bones.manifest.store import THUMBNAILS_FOLDER, ImageRecord
from hf_bones.pages.pictures import jpeg, png, thumbnail

THUMBNAIL_SIDE = 192  # px, long side
VIEW_SIDE = 1280  # px, long side of what is sent unless all of it is asked for
_VIEW_QUALITY = 92
_LOSSLESS_PIXELS = 1_500_000  # up to this size a view is a PNG, without a trace of JPEG on top of JPEG
_OPENING_PROCESSES = 2  # one for what is looked at while the other makes thumbnails
_LARGEST_THUMBNAIL = 200_000  # bytes
_PAUSE = 0.25  # s that the background work stands back after somebody asked for a picture


class NoPictureError(Exception):
    """An image of which there is no picture, and why."""


class Pictures:
    """The pictures of a subject. Safe to call from threads."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._processes = OpeningProcesses(_OPENING_PROCESSES)
        self._folder = subject.folder / THUMBNAILS_FOLDER
        self._asked_at = 0.0
        self.made, self.wanted, self.failed = 0, 0, 0  # of the background work

    def thumbnail(self, record: ImageRecord) -> bytes:
        """A grey JPEG, made on the first call. Raises `NoPictureError`."""
        path = self._path(record.sha256)
        self._asked_at = time.monotonic()
        return self._kept(path) or self._make(record, path)

    def view(self, record: ImageRecord, side: int | None = VIEW_SIDE) -> tuple[bytes, str]:
        """The picture at most `side` px long (None: all of it) and its media type. Raises `NoPictureError`."""
        self._asked_at = time.monotonic()
        picture = self._open(record)
        if side is not None:
            picture = thumbnail(picture, side)
        if picture.width * picture.height > _LOSSLESS_PIXELS:
            return jpeg(picture, _VIEW_QUALITY), "image/jpeg"
        return png(picture, compress_level=1), "image/png"

    def make_all(self, records: Iterable[ImageRecord], stop: threading.Event) -> None:
        """Makes the thumbnails that are missing, one by one, standing back while somebody looks at pictures. For a thread of its own."""
        missing = [record for record in records if not self._path(record.sha256).is_file()]
        self.made, self.wanted, self.failed = 0, len(missing), 0
        for record in missing:
            while time.monotonic() - self._asked_at < _PAUSE:
                if stop.wait(_PAUSE):
                    return
            if stop.is_set():
                return
            try:
                path = self._path(record.sha256)
                if not path.is_file():
                    self._make(record, path)
            except NoPictureError:
                self.failed += 1
            self.made += 1

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.jpg"

    def _kept(self, path: Path) -> bytes:
        """The thumbnail that was made before; b"" where there is none, or something else lies there: the folder may be a stranger's."""
        try:
            file = file_inside(self._subject.folder, str(path.relative_to(self._subject.folder)))
            content = file.read_bytes() if file.is_file() and file.stat().st_size <= _LARGEST_THUMBNAIL else b""
        except OSError:
            return b""
        return content if content.startswith(b"\xff\xd8\xff") else b""

    def _make(self, record: ImageRecord, path: Path) -> bytes:
        content = jpeg(thumbnail(self._open(record), THUMBNAIL_SIDE))
        if not self._subject.manifest.writable:
            return content
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            file_inside(self._subject.folder, str(path.parent.relative_to(self._subject.folder)))  # a link may lead the folder elsewhere
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)  # a full or read-only disk: the picture is shown all the same
        return content

    def _open(self, record: ImageRecord) -> Image.Image:
        try:
            return Image.fromarray(self._processes.open(self._subject.read(record)).pixels)
        except ImageRefusedError as refusal:
            raise NoPictureError(f"{explain(refusal.reason)} ({refusal.detail})") from refusal
        except OSError as error:
            raise NoPictureError(f"The file cannot be read: {error.strerror or error}") from error
