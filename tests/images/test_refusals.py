"""What is no image, is broken or is too large is refused with a reason. Run: pytest tests/images/test_refusals.py"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from grey_images import GREY, HEIGHT, REFUSED, TWELVE, WIDTH, dicom, drawn_grey, encoded, opens_or_is_refused, refusal, tiff_of_tags
from PIL import Image, ImageFile, PngImagePlugin

from hf_bones.images.opening import ImageRefusedError, Limits, Refusal, explain, open_image

COSTLY = (Refusal.BOMB, Refusal.TOO_COSTLY)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_reason(name: str) -> None:
    source, reason = REFUSED[name]
    assert refusal(source) == reason


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.png", tmp_path, tmp_path / "pipe", "", "with\0nul", "/dev/zero", "x" * 5000):
        assert refusal(path) == Refusal.UNREADABLE_FILE


def test_a_file_over_the_byte_limit_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.write(encoded(GREY))
        file.truncate(2**40)  # sparse: one terabyte that would not fit in memory
    assert refusal(path) == Refusal.TOO_LARGE
    assert refusal(encoded(GREY), Limits(max_bytes=50)) == Refusal.TOO_LARGE


def test_limits_are_the_callers() -> None:
    assert open_image(encoded(drawn_grey(16, 16)), Limits(min_side=16)).pixels.shape == (16, 16)
    assert open_image(drawn_grey(40, 1000), Limits(max_aspect=25)).pixels.shape == (40, 1000)
    assert refusal(GREY, Limits(max_pixels=1000)) == Refusal.BOMB
    assert open_image(drawn_grey(32, 640)).pixels.shape == (32, 640)  # 20 to 1 is still in


@pytest.mark.parametrize("source", [None, 5, ["a.png"], io.BytesIO(b""), object(), {"bytes": b""}])
def test_another_type_of_source_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError, match="open_image takes"):
        open_image(source)  # type: ignore[arg-type]


def test_the_error_names_the_file_and_survives_pickling(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("words")
    with pytest.raises(ImageRefusedError, match=r"notes\.jpg refused: not_an_image") as caught:
        open_image(path)
    assert caught.value.source == str(path)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.reason, copy.detail, copy.source, str(copy)) == (caught.value.reason, caught.value.detail, str(path), str(caught.value))


def test_every_reason_has_a_sentence_for_a_person() -> None:
    sentences = [explain(reason) for reason in Refusal]
    assert len(set(sentences)) == len(Refusal) and all(sentence.endswith(".") for sentence in sentences)
    assert explain("too_small") == explain(Refusal.TOO_SMALL)
    with pytest.raises(ValueError, match="no_such_reason"):
        explain("no_such_reason")


def test_sources_and_pillows_settings_are_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK
    array = GREY.copy()
    radiograph = open_image(array)
    radiograph.pixels[:] = 0
    assert np.array_equal(array, GREY)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(GREY, "JPEG", exif=exif)))
    open_image(image)
    assert image.size == (WIDTH, HEIGHT) and image.getexif()[0x0112] == 6
    for source, _ in REFUSED.values():
        opens_or_is_refused(source)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)


def test_threads_get_the_same_pixels() -> None:
    sources = [encoded(GREY, kind) for kind in ("PNG", "TIFF", "JPEG", "WEBP", "GIF", "BMP")] + [dicom(TWELVE, bits=12)]
    alone = [open_image(source).pixels for source in sources]
    with ThreadPoolExecutor(8) as pool:
        for index, radiograph in enumerate(pool.map(open_image, sources * 20)):
            assert np.array_equal(radiograph.pixels, alone[index % len(sources)])


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    """In a process of its own, whose peak then speaks only of these files."""
    bombs = {name: source for name, (source, reason) in REFUSED.items() if reason in COSTLY and isinstance(source, bytes)}
    bombs["DICOM"] = dicom(GREY, Rows=60000, Columns=60000)
    exif = tiff_of_tags([(tag, 7, 50_000, 0) for tag in range(1000, 5000)], 60_000)
    bombs["EXIF in JPEG"] = encoded(GREY, "JPEG", exif=b"Exif\0\0" + exif)
    (tmp_path / "bombs.pickle").write_bytes(pickle.dumps(bombs))
    script = textwrap.dedent(
        """
        import pickle, resource, sys
        from hf_bones.images.opening import ImageRefusedError, open_image
        import numpy, pydicom.pixels
        open_image(numpy.zeros((64, 64), numpy.uint16))
        bombs = pickle.loads(open(sys.argv[1], "rb").read())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, data in bombs.items():
            try:
                open_image(data)
                print(name, "opened")
            except ImageRefusedError as error:
                if error.reason not in ("decompression_bomb", "too_costly"):
                    print(name, error)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (2**20 if sys.platform == "darwin" else 2**10)
        print(f"grew {grown:.0f} MiB" if grown > 100 else "in bounds")
        """
    )
    run = subprocess.run([sys.executable, "-c", script, tmp_path / "bombs.pickle"], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "in bounds"
