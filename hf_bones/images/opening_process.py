"""`open_image` in processes of its own, each file with a deadline: for servers and `hf-bones predict`, which must outlive any file.

What a file costs is bounded before it is decoded, as far as its headers tell. Decoders are C code all the same: here an endless loop, a
crash or a hunger for memory takes down a process that holds nothing else, and becomes a refusal of that one file.

Not here: the processes of a collection (`collect/examine.py`), which store what they open.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Limits, Radiograph, Refusal, open_image

CPU_SECONDS = 30.0  # for one file: twice what the largest image may take
WALL_SECONDS = 120.0  # on a machine that is busy with other things
MEMORY = 4 * 2**30  # bytes beside what the process takes before it opens anything
_LENGTHS = struct.Struct("<QQ")  # of the words (JSON) and of the bytes behind them
_START = "from hf_bones.images.opening_process import serve; serve()"


class OpeningProcesses:
    """`open` does what `open_image` does, in one of `count` processes, which start when they are first needed. Safe to call from threads.

    Use as a context manager, or call `close`; they also end with the process that started them, however it ends.
    """

    def __init__(self, count: int = 1, cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS) -> None:
        self._all = [_OpeningProcess(cpu_seconds, wall_seconds) for _ in range(count)]
        self._free: queue.SimpleQueue[_OpeningProcess] = queue.SimpleQueue()
        for process in self._all:
            self._free.put(process)

    def __enter__(self) -> OpeningProcesses:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for process in self._all:
            process.end()

    def open(self, source: str | Path | bytes | Image.Image | npt.NDArray[Any], limits: Limits = DEFAULT_LIMITS) -> Radiograph:
        """As `open_image`. A file on which the deadline passes is refused as `TOO_COSTLY`, one that crashes its decoder as `UNDECODABLE`.

        Pillow images and arrays, which are decoded, are opened here.
        """
        if not isinstance(source, (str, Path, bytes)):
            return open_image(source, limits)
        process = self._free.get()
        try:
            return process.open(source, limits)
        finally:
            self._free.put(process)


class _OpeningProcess:
    """One process, started again where a file took it down."""

    def __init__(self, cpu_seconds: float, wall_seconds: float) -> None:
        self._cpu_seconds, self._wall_seconds = cpu_seconds, wall_seconds
        self._running: subprocess.Popen[bytes] | None = None

    def open(self, source: str | Path | bytes, limits: Limits) -> Radiograph:
        is_path = not isinstance(source, bytes)
        words = {"path": os.fsencode(source).hex() if is_path else None, "limits": asdict(limits), "seconds": self._cpu_seconds}
        if self._running is None or self._running.poll() is not None:
            self.end()
            self._running = _start()
        running = self._running
        assert running.stdin is not None and running.stdout is not None
        late = threading.Timer(self._wall_seconds, running.kill)
        late.daemon = True
        late.start()
        try:
            _send(running.stdin, words, source if isinstance(source, bytes) else b"")
            found, pixels = _receive(running.stdout)
        except (OSError, EOFError):
            self.end()
            raise self._died(running, late, str(source) if is_path else "bytes") from None
        except BaseException:  # such as Ctrl-C: the answer that is on its way must not become that of the next file
            self.end()
            raise
        finally:
            late.cancel()
        if "reason" in found:
            raise ImageRefusedError(Refusal(found["reason"]), found["detail"], found["source"])
        shape = found["shape"]
        return Radiograph(
            np.frombuffer(bytearray(pixels), np.uint8).reshape(shape),
            (found["size"][0], found["size"][1]),
            found["format"],
            found["mode"],
            tuple(found["steps"]),
        )

    def __del__(self) -> None:
        self.end()

    def _died(self, running: subprocess.Popen[bytes], late: threading.Timer, name: str) -> ImageRefusedError:
        if late.finished.is_set() or running.returncode == -getattr(signal, "SIGPROF", 0):
            return ImageRefusedError(Refusal.TOO_COSTLY, f"not open after {self._cpu_seconds:g} s of work", name)
        return ImageRefusedError(Refusal.UNDECODABLE, f"its decoder crashed (exit status {running.returncode})", name)

    def end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            running.wait()
            for stream in (running.stdin, running.stdout):
                with contextlib.suppress(OSError):  # what was not sent yet has nobody to go to
                    if stream is not None:
                        stream.close()


def _start() -> subprocess.Popen[bytes]:
    """A process that imports this package and nothing of the caller's main module."""
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )


def serve() -> None:
    """What a process does: opens one file after the other, until its input ends."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's business
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may stand among the answers
    _cap_memory()
    while True:
        try:
            words, data = _receive(sys.stdin.buffer)
        except EOFError:
            return
        source = data if words["path"] is None else os.fsdecode(bytes.fromhex(words["path"]))
        _set_timer(words["seconds"])
        try:
            opened = open_image(source, Limits(**words["limits"]))
        except ImageRefusedError as refusal:
            told: dict[str, Any] = {"reason": str(refusal.reason), "detail": refusal.detail, "source": refusal.source}
            pixels = b""
        else:
            told = {"shape": opened.pixels.shape, "size": opened.original_size, "format": opened.source_format}
            told |= {"mode": opened.source_mode, "steps": opened.steps}
            pixels = opened.pixels.tobytes()
        _set_timer(0)
        _send(answers, told, pixels)


def _set_timer(seconds: float) -> None:
    """Of CPU time: its signal ends the process, also in the middle of C code. 0 stops it."""
    if hasattr(signal, "ITIMER_PROF"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _cap_memory() -> None:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        return  # Linux only, and only where nobody has set a lower limit


def _send(stream: IO[bytes], words: dict[str, Any], data: bytes) -> None:
    text = json.dumps(words).encode()
    stream.write(_LENGTHS.pack(len(text), len(data)) + text)
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Raises EOFError where the other side has gone."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        raise EOFError
    text_length, length = _LENGTHS.unpack(lengths)
    text, data = stream.read(text_length), stream.read(length)
    if len(text) < text_length or len(data) < length:
        raise EOFError
    return json.loads(text), data
