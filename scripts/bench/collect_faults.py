"""The fault run of the collector's bench: three kills on the way, then every URL, row and file against the server's plan.

What the collector says about itself is not believed: its database is read with sqlite3, its files are hashed, and what it asked for is
read from the server's log.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

from collect_plan import STORED, Item, Served
from collect_processes import Asked, Server, living, run
from loopback_server import PLAIN, TRAPPED

KILLS = 3
_MOST_RUNS = KILLS + 3
_SITE_FILES = ("/robots.txt", "/.well-known/tdmrep.json")
_SHOWN = 5


LOST, DUPLICATED, WRONG_BYTES = "images lost", "duplicated or stray", "wrong bytes or provenance"
UNACCOUNTED, ASKED_TWICE = "faults without their row", "recorded URLs asked again after a kill"
PAST_THE_GUARD, LEFT_RUNNING = "requests past the address guard", "processes left running"
KINDS = (LOST, DUPLICATED, WRONG_BYTES, UNACCOUNTED, ASKED_TWICE, PAST_THE_GUARD, LEFT_RUNNING)


Wrong = dict[str, list[str]]  # for each of KINDS a sentence for each thing: all lists empty is what must be


def run_with_kills(
    served: Served, server: Server, out: Path, command: Sequence[str | Path], output: Path, seed: int
) -> tuple[Wrong, float]:
    """Gives the command again and again, killing it three times at random moments, until it ends by itself; then judges.

    A moment is up to 0.2 s after the outcomes of a number of URLs have been recorded, a number in each third of the plan. The second kill
    takes the first process only, as `kill -9 PID` does: its children must end by themselves. Returns what is wrong with the collection, and
    the share of faulty responses among those to requests for images.
    """
    chance = random.Random(seed)
    moments = [round((number + chance.uniform(0.1, 0.9)) / KILLS * len(served.plan)) for number in range(KILLS)]
    wrong: Wrong = {kind: [] for kind in KINDS}
    known: list[tuple[set[str], int]] = []
    for number in range(_MOST_RUNS):
        when = _when_recorded(out, moments[number], chance.uniform(0, 0.2)) if number < KILLS else None
        done = run(command, output, when, kill_group=number != 1, every=0.01)
        wrong[LEFT_RUNNING] += _still_living(done.pid)
        if not done.killed:
            break
        asked = server.requests()
        recorded = _recorded(out)
        known.append((recorded, len(asked)))
        who = "the first process" if number == 1 else "all processes"
        print(f"kill {number + 1} ({who}): {done.wall:.2f} s into the run, {sum(map(_is_image, recorded))} URLs recorded", flush=True)
    if done.killed or done.code:
        wrong[UNACCOUNTED].append(f"the command did not end well (exit status {done.code}): see {output}")
    if len(known) < KILLS:
        wrong[UNACCOUNTED].append(f"only {len(known)} of {KILLS} kills came before the end")
    asked = server.requests()
    for recorded, position in known:
        again = [line for line in asked[position:] if _key(line) in recorded]
        wrong[ASKED_TWICE] += [f"{line.host}{line.target} was recorded before a kill, and asked for after it" for line in again]
    wrong[PAST_THE_GUARD] += [f"{line.host}{line.target} was asked for" for line in asked if line.answer == TRAPPED]
    for_images = [line for line in asked if _is_image(line.path)]
    judge(served, server.port, out, wrong)
    for kind, sentences in wrong.items():
        for sentence in sentences[:_SHOWN]:
            print(f"{kind}: {sentence}")
    return wrong, sum(line.answer != PLAIN for line in for_images) / max(1, len(for_images))


def judge(served: Served, port: int, out: Path, wrong: Wrong) -> None:
    """Compares a finished collection with the plan, and adds what does not agree."""
    with closing(sqlite3.connect(f"file:{out / 'manifest.db'}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        fetches = {row["url"]: row for row in database.execute("SELECT * FROM fetches")}
        images = {row["sha256"]: row for row in database.execute("SELECT * FROM images")}
        kept = {row["kept"] for row in fetches.values() if row["kept"]}
        sound = database.execute("PRAGMA integrity_check").fetchone()[0]
    if sound != "ok":
        wrong[LOST].append(f"manifest.db is damaged: {sound}")
    for item in served.plan:
        if found := _judge_item(item, served.hashes[item.index], fetches.pop(item.url(port), None), images, out):
            kind, sentence = found
            wrong[kind].append(f"{item.path} ({item.fault.name if item.fault else 'no fault'}): {sentence}")
    wrong[DUPLICATED] += [f"{url} has a row, and is not in the plan" for url in fetches]
    _judge_files(served, port, out, {row["file"]: row for row in images.values()}, kept, wrong)


def _judge_item(item: Item, sha256: str, row: sqlite3.Row | None, images: dict[str, sqlite3.Row], out: Path) -> tuple[str, str] | None:
    """What is wrong with the outcome of a URL, and of which kind that is."""
    state, reasons = item.outcome
    stored = state == STORED
    if row is None:
        return LOST if stored else UNACCOUNTED, "no row"
    if row["state"] != state or (not stored and row["reason"] not in reasons):
        found = f"{row['state']} {row['reason']} ({row['detail']}), expected {state} {' or '.join(reasons)}"
        return LOST if stored else UNACCOUNTED, found
    if stored and row["sha256"] != sha256:
        return WRONG_BYTES, f"recorded as {row['sha256']}, was served as {sha256}"
    if stored and (sha256 not in images or not (out / images[sha256]["file"]).is_file()):
        return LOST, "stored by its row, but the image is not there"
    return None


def _judge_files(served: Served, port: int, out: Path, images: dict[str, sqlite3.Row], kept: set[str], wrong: Wrong) -> None:
    """Every file has the hash that its name says and a row; every row has its file, and its provenance."""
    own = ("manifest.db", "manifest.db-wal", "manifest.db-shm", ".lock")
    seen: Counter[str] = Counter()
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if not path.is_file() or name in own:
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        seen[sha256] += 1
        if sha256 != path.stem:
            wrong[WRONG_BYTES].append(f"{name} has the hash {sha256}")
        if name not in images and name not in kept:
            wrong[DUPLICATED].append(f"{name} has no row")
    wrong[DUPLICATED] += [f"the bytes {sha256} are there {count} times" for sha256, count in seen.items() if count > 1]
    wrong[LOST] += [f"{name} is not there, though a row says so" for name in (*images, *kept) if not (out / name).is_file()]
    items = {item.url(port): item for item in served.plan}
    for name, row in images.items():
        item = items.get(row["url"])
        if item is None or row["sha256"] not in name or served.hashes[item.index] != row["sha256"]:
            wrong[WRONG_BYTES].append(f"{name}: its row says that it came from {row['url']}")
        elif row["label"] != item.label or row["provider"] != "urls":
            wrong[UNACCOUNTED].append(f"{name}: label {row['label']!r} from {row['provider']!r}, expected {item.label!r}")


def _when_recorded(out: Path, moment: int, later: float) -> Callable[[], bool]:
    """Whether, `later` seconds ago or before, the outcomes of so many URLs were recorded."""
    since = [math.inf]

    def reached() -> bool:
        if since[0] == math.inf and (out / "manifest.db").exists():
            with closing(sqlite3.connect(f"file:{out / 'manifest.db'}?mode=ro", uri=True)) as database, suppress(sqlite3.OperationalError):
                # An OperationalError: the tables are just being made.
                if database.execute("SELECT count(*) FROM fetches WHERE state != 'waiting'").fetchone()[0] >= moment:
                    since[0] = time.monotonic()
        return time.monotonic() - since[0] >= later

    return reached


def _still_living(group: int) -> list[str]:
    deadline = time.monotonic() + 5
    while (left := living(group)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [f"process {pid} is still there 5 s after its run" for pid in left]


def _key(line: Asked) -> str:
    """What a request asked for: an image, wherever a redirect led, or a file of its host's."""
    return f"{line.host}{line.path}" if line.path in _SITE_FILES else line.path


def _is_image(path: str) -> bool:
    return path.endswith(".jpg")


def _recorded(out: Path) -> set[str]:
    """What a collection that was killed has recorded the outcome of; read from a copy, so that nothing is mended by the reading."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("manifest.db", "manifest.db-wal"):
            if (out / name).exists():
                shutil.copy2(out / name, folder)
        with closing(sqlite3.connect(Path(folder, "manifest.db"))) as database:
            urls = [row[0] for row in database.execute("SELECT url FROM fetches WHERE state != 'waiting'")]
            origins = [row[0] for row in database.execute("SELECT origin FROM hosts")]
    hosts = {f"{urlsplit(origin).hostname}{path}" for origin in origins for path in _SITE_FILES}
    return {urlsplit(url).path for url in urls} | hosts
