"""What it costs to open files that are built to cost much, and mutations of sound ones: tried, as promised, worst CPU time and memory.

    python scripts/bench/hostile.py [--quick] [--mutations N]

The promise: a file of up to 64 MiB takes at most 5 s of CPU time and 0.15 s for each megapixel, and 500 MB beside its pixels, or is refused
within them; nothing but a picture or `ImageRefusedError` comes out. Each file is opened in a process of its own. Linux only.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness import MB, Bar, arguments, bar, print_bars, write_result
from hostile_containers import avifs, jpeg2000s, tiffs, webps
from hostile_dicom import dicom, elements, frames, run_lengths
from hostile_files import SIZES, Hostile, bmps, drawn, encoded, gifs, jpegs, netpbms, pngs
from memory import peak_memory
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless
from tqdm import tqdm

from hf_bones.images.opening import ImageRefusedError, open_image

SECONDS, SECONDS_A_MEGAPIXEL = 5.0, 0.15
MEMORY = 500 * MB
BYTES_A_PIXEL = 20  # what opening takes at most for the pixels themselves (`Limits`)
LIMIT = 60  # s of CPU time, after which a process is ended
QUICK_SIZES = (20_000, 400_000)
QUICK_PIXELS = 1_000_000


class Cost(NamedTuple):
    """Of one file: whether it ended in a picture or a refusal, CPU time in s, memory in bytes, and the reason or what came out."""

    ended: bool
    seconds: float
    memory: float
    outcome: str


def main() -> None:
    parser = arguments(__doc__, needs_data=False)
    parser.add_argument("--mutations", type=int, default=12_000, help="mutated files of the sound ones")
    parser.add_argument("--only", default="", help="formats whose name begins so")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    open_image(np.zeros((64, 64), np.uint16))
    open_image(dicom(drawn().tobytes()))
    built = [one for one in hostile_files(QUICK_SIZES if options.quick else SIZES) if one.kind.startswith(options.only)]
    mutations = 300 if options.quick else options.mutations
    bars = hostile_bars("hostile files", [one for one in built if not options.quick or one.pixels <= QUICK_PIXELS])
    bars += hostile_bars("mutations", mutated(mutations), mutations)
    if options.only:
        print_bars(bars)  # a part is no result
        return
    write_result("hostile", "hostile.py", "", bars, quick=options.quick)


def hostile_files(sizes: Sequence[int]) -> Iterator[Hostile]:
    kinds = (jpegs, pngs, gifs, bmps, netpbms, tiffs, jpeg2000s, webps, avifs, elements, run_lengths, frames)
    return chain.from_iterable(kind(sizes) for kind in kinds)


def hostile_bars(name: str, files: Iterator[Hostile] | list[Hostile], count: int | None = None) -> list[Bar]:
    """Opens all, names those that break the promise, and sums up: over all, and the worst of each format."""
    costs: dict[str, list[tuple[Cost, bool]]] = defaultdict(list)
    for one in tqdm(files, desc=name, total=count):
        data = one.make()
        cost = cost_of(data)
        allowed = SECONDS + SECONDS_A_MEGAPIXEL * one.pixels / 1e6, MEMORY + BYTES_A_PIXEL * one.pixels
        held = cost.ended and cost.seconds <= allowed[0] and cost.memory <= allowed[1]
        costs[one.kind].append((cost, held))
        if not held:
            tqdm.write(f"NOT AS PROMISED {one.kind}: {one.name}: {cost.seconds:.2f} s, {cost.memory / MB:.0f} MB, {cost.outcome}")
    everything = [entry for entries in costs.values() for entry in entries]
    tried = len(everything)
    bars = [
        bar(f"{name}: tried", tried, n=tried),
        bar(f"{name}: not as promised", sum(not held for _, held in everything), n=tried, target=0, at_most=True),
    ]
    for kind, entries in [("all", everything), *sorted(costs.items())]:
        bars.append(bar(f"{name}, {kind}: worst CPU s", max(cost.seconds for cost, _ in entries), n=len(entries)))
        bars.append(bar(f"{name}, {kind}: worst MB", max(cost.memory for cost, _ in entries) / MB, n=len(entries)))
    return bars


def cost_of(data: bytes) -> Cost:
    """Opens `data` in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.write(writing, json.dumps(_opened(data)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    if not said:
        died = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status}"
        return Cost(False, LIMIT, 0.0, died)
    return Cost(*json.loads(said))


def _opened(data: bytes) -> Cost:
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 1))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = peak_memory(), time.process_time()
    ended = True
    try:
        outcome = f"opened {open_image(data).original_size}"
    except ImageRefusedError as error:
        outcome = f"{error.reason}: {error.detail[:100]}"
    except BaseException as error:  # noqa: BLE001 - that nothing else comes out is what is measured
        ended, outcome = False, f"{type(error).__name__}: {error}"[:200]
    return Cost(ended, time.process_time() - began, peak_memory() - before, outcome)


def sound_files() -> list[Hostile]:
    turned = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    ways = ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")
    grey, deep = drawn(80, 64), drawn(80, 64).astype(np.uint16) * 257
    colour = np.dstack([grey, 255 - grey, grey])
    runs = bytes([1, 0, 0, 0, 64]) + bytes(59) + b"\x7f" + grey[:2].tobytes() + b"\x81\5" * 31
    inside = {JPEGBaseline8Bit: encoded("JPEG", grey[:64]), JPEG2000Lossless: encoded("JPEG2000", grey[:64])}
    made = {
        "JPEG": [encoded("JPEG", colour, exif=turned), encoded("JPEG", grey, progressive=True)],
        "PNG": [encoded("PNG", colour), encoded("PNG", deep)],
        "GIF": [encoded("GIF", grey)],
        "TIFF": [encoded("TIFF", deep), *(encoded("TIFF", colour, compression=name) for name in ways)],
        "BigTIFF": [encoded("TIFF", grey, big_tiff=True)],
        "BMP": [encoded("BMP", colour), encoded("BMP", grey)],
        "JPEG2000": [encoded("JPEG2000", colour), encoded("JPEG2000", deep)],
        "WEBP": [encoded("WEBP", colour), encoded("WEBP", colour, lossless=True)],
        "PPM": [encoded("PPM", colour), encoded("PPM", grey), b"P2 8 8 9\n" + b"7 " * 64],
        "AVIF": [encoded("AVIF", colour, speed=10)],
        "DICOM": [dicom(grey[:64].tobytes()), dicom(deep[:64].tobytes(), bits=16, WindowCenter=300, WindowWidth=400)],
        "DICOM RLE": [dicom(runs, 64, RLELossless, encapsulated=True)],
        "DICOM JPEG": [dicom(frame, 64, syntax, encapsulated=True) for syntax, frame in inside.items()],
    }  # fmt: skip
    return [Hostile(kind, "sound", lambda data=data: data) for kind, several in made.items() for data in several]


def mutated(count: int) -> Iterator[Hostile]:
    """Sound files with bytes changed, most of them in headers, parts repeated, left out, or numbers put to their ends."""
    dice = random.Random(0)
    originals = [(one.kind, one.make()) for one in sound_files()]
    for number in range(count):
        kind, data = originals[number % len(originals)]
        changed = bytearray(data)
        for _ in range(dice.choice((1, 2, 4, 16))):
            reach = min(len(changed), dice.choice((64, 400, 10**6)))
            place = dice.randrange(max(reach, 1))
            way = dice.randrange(5)
            if way == 0:
                changed[place : place + 1] = bytes([dice.randrange(256)])
            elif way == 1:
                changed[place : place + 4] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
            elif way == 2:
                changed[place:place] = changed[place : place + dice.choice((4, 12, 64))] * dice.choice((1, 50, 2000))
            elif way == 3:
                del changed[place : place + dice.choice((1, 4, 100))]
            else:
                changed[place : place + 2] = bytes([dice.randrange(256), dice.choice((0, 1, 255))])
        yield Hostile(kind, f"mutation {number}", lambda changed=changed: bytes(changed), 0)


if __name__ == "__main__":
    main()
