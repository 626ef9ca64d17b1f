"""Opening with a deadline: the same answers, and a file that takes its process down costs only itself.

Run: pytest tests/images/test_opening_process.py"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from grey_images import GREY, TWELVE, dicom, encoded

from hf_bones.images import opening_process
from hf_bones.images.opening import ImageRefusedError, Limits, Refusal, open_image
from hf_bones.images.opening_process import OpeningProcesses

SLOW = b"P5 3000#\n 3000 254\n" + bytes(9_000_000)  # a header that only Pillow's own decoder reads: seconds of Python


@pytest.fixture(scope="module")
def processes() -> Iterator[OpeningProcesses]:
    with OpeningProcesses(2, cpu_seconds=0.5) as some:
        yield some


def test_the_answers_are_those_of_open_image(processes: OpeningProcesses, tmp_path: Path) -> None:
    path = tmp_path / "film ä.dcm"
    path.write_bytes(dicom(TWELVE, bits=12))
    for source in (path, str(path), encoded(GREY), GREY, encoded(GREY, "JPEG")):
        here, there = open_image(source), processes.open(source)
        assert np.array_equal(here.pixels, there.pixels) and there.pixels.flags.writeable
        assert (here.original_size, here.source_format, here.source_mode, here.steps) == (
            there.original_size,
            there.source_format,
            there.source_mode,
            there.steps,
        )
    for source, limits in ((tmp_path / "missing.png", Limits()), (b"words", Limits()), (encoded(GREY), Limits(max_pixels=100))):
        with pytest.raises(ImageRefusedError) as here_refused:
            open_image(source, limits)
        with pytest.raises(ImageRefusedError) as there_refused:
            processes.open(source, limits)
        assert str(here_refused.value) == str(there_refused.value)


def test_a_file_past_its_deadline_is_too_costly_and_the_next_one_opens(processes: OpeningProcesses) -> None:
    with pytest.raises(ImageRefusedError) as caught:
        processes.open(SLOW)
    assert caught.value.reason == Refusal.TOO_COSTLY
    with ThreadPoolExecutor(4) as pool:
        for opened in pool.map(processes.open, [encoded(GREY)] * 8):
            assert np.array_equal(opened.pixels, GREY)


def test_a_crash_costs_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpeningProcesses(wall_seconds=60) as processes:
        processes.open(encoded(GREY))
        running = processes._all[0]._running
        assert running is not None
        os.kill(running.pid, signal.SIGSTOP)  # so that it cannot answer before it dies

        def hand_over_then_kill(stream: IO[bytes], words: dict[str, Any], data: bytes) -> None:
            send(stream, words, data)
            os.kill(running.pid, signal.SIGKILL)

        send = opening_process._send
        with monkeypatch.context() as patched:
            patched.setattr(opening_process, "_send", hand_over_then_kill)
            with pytest.raises(ImageRefusedError) as caught:
                processes.open(encoded(GREY))
        assert caught.value.reason == Refusal.UNDECODABLE and "crashed" in caught.value.detail
        assert np.array_equal(processes.open(encoded(GREY)).pixels, GREY)
