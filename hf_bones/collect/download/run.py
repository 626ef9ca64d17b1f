"""A download from the first byte to the last member: room, files one after another, archives unpacked, the record kept up."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from tqdm import tqdm

from hf_bones.collect.download.listing import DownloadError, DownloadRefusedError, RemoteFile
from hf_bones.collect.download.state import PLACING, UNPACKED, WAITING, WHOLE, DownloadState, FileState
from hf_bones.collect.download.transfer import Patience, fetch_file, part_path
from hf_bones.collect.download.unpack import is_archive, read_members, unpack
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.web import make_client
from hf_bones.record import now

LEAVE_FREE = 256 * 2**20  # bytes: a full disk troubles more than this program
_UNPACKING = ".unpacking-"
_WRITE_EVERY = 1.0  # s


def download(
    folder: Path,
    state: DownloadState,
    files: Sequence[RemoteFile],
    *,
    guard: AddressGuard,
    agent: str,
    unpacked: bool = True,
    keep_archives: bool = False,
    patience: Patience = Patience(),  # noqa: B008 - frozen
    progress: bool = True,
) -> None:
    """Brings `files` into `folder`, and `state`, its record, up to date. What an earlier run has done is not done again.

    Raises `DownloadError` where a file does not come, is not what the registry states, or cannot be unpacked, and where there is no room;
    `DownloadRefusedError` where another run is at work in the folder. What is done by then stays.
    """
    forget_missing(folder, state)
    check_room(folder, state, files, unpacked=unpacked, keep_archives=keep_archives)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DownloadRefusedError(f"{folder}: another run is downloading into this folder; wait for it, or stop it") from error
    try:
        state.finished = ""
        state.write(folder)
        _bring_all(folder, state, files, guard, agent, unpacked, keep_archives, patience, progress)
        state.finished = now()
        state.write(folder)
    finally:
        lock.release()


def forget_missing(folder: Path, state: DownloadState) -> None:
    """Marks files that somebody has deleted or changed the size of since as not there, so that they come again."""
    for one in state.files:
        path = folder / one.name
        gone = one.state == WHOLE and not (path.is_file() and path.stat().st_size == one.size)
        if gone or (one.state == UNPACKED and not (folder / one.unpacked_to).is_dir()):
            one.state, one.unpacked_to, one.members = WAITING, "", 0


def room_needed(folder: Path, state: DownloadState, files: Sequence[RemoteFile], *, unpacked: bool, keep_archives: bool) -> int:
    """Bytes that must be free before the first one comes: what is missing, and as much again for what is unpacked.

    Archives of images hardly shrink their members, so they are taken to unpack to their own size; before each is unpacked its members'
    sizes are looked at. Without `keep_archives` an archive goes once it is unpacked, so that only the largest is there twice.
    """
    by_name = {each.name: each for each in state.files}
    missing = 0
    for file in files:
        if by_name[file.name].state == WAITING:
            part = part_path(folder, file)
            missing += file.size - (min(part.stat().st_size, file.size) if part.is_file() else 0)
    packed = [file.size for file in files if unpacked and by_name[file.name].state in (WAITING, WHOLE) and _looks_packed(file.name)]
    twice = sum(packed) if keep_archives else max(packed, default=0)
    return missing + twice + LEAVE_FREE if missing or twice else 0


def check_room(folder: Path, state: DownloadState, files: Sequence[RemoteFile], *, unpacked: bool, keep_archives: bool) -> None:
    """Raises `DownloadError` with what is needed and what there is, where the disk has too little room."""
    needed = room_needed(folder, state, files, unpacked=unpacked, keep_archives=keep_archives)
    _require_room(folder, needed, "the rest of the download, with room to unpack it,")


def _require_room(folder: Path, needed: int, what: str) -> None:
    free = free_room(folder)
    if free < needed:
        told = f"{what} needs {size_text(needed)}, and {size_text(free)} are free"
        raise DownloadError(f"{folder}: {told}: make room, or choose another --out")


def free_room(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not be there yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def size_text(size: int) -> str:
    """A size for people: "12.3 GB", "45.6 MB" or "789 bytes", decimal as registries count."""
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} bytes"


def _looks_packed(name: str) -> bool:
    """Whether a file that is not there yet is probably an archive, to know how much room it will take."""
    return name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))


def _bring_all(
    folder: Path,
    state: DownloadState,
    files: Sequence[RemoteFile],
    guard: AddressGuard,
    agent: str,
    unpacked: bool,
    keep_archives: bool,
    patience: Patience,
    progress: bool,
) -> None:
    by_name = {each.name: each for each in state.files}
    total = sum(file.size for file in files)
    before, written = 0, 0.0
    with (
        asyncio.Runner() as runner,
        tqdm(total=total, desc=state.name, unit="B", unit_scale=True, disable=None if progress else True, dynamic_ncols=True) as bar,
    ):
        client = make_client(guard, agent)
        try:
            for file in files:
                one = by_name[file.name]
                if one.state == WAITING:

                    def tell(size: int, start: int = before) -> None:
                        bar.update(start + size - bar.n)

                    bar.set_postfix_str(file.name, refresh=False)
                    arrived = runner.run(fetch_file(client, file, folder, patience, tell))
                    one.state, one.sha256, one.url, one.verified = WHOLE, arrived.sha256, arrived.url, arrived.verified
                    if time.monotonic() > written + _WRITE_EVERY:  # of thousands of small files, the record would take longer than they
                        state.write(folder)
                        written = time.monotonic()
                before += file.size
                bar.update(before - bar.n)
                if unpacked and one.state in (WHOLE, PLACING):
                    _unpack_one(folder, state, one, keep_archives, progress)
        finally:
            state.write(folder)
            runner.run(client.aclose())


def _unpack_one(folder: Path, state: DownloadState, one: FileState, keep_archives: bool, progress: bool) -> None:
    """Unpacks a file that is an archive. Its members appear in one step; a run that was killed in between is caught up with."""
    archive = folder / one.name
    space = folder / f"{_UNPACKING}{one.sha256[:12]}"
    emptied = not space.is_dir() or not any(space.iterdir())
    if one.state == PLACING and (folder / one.unpacked_to).is_dir() and emptied:
        shutil.rmtree(space, ignore_errors=True)
        _settle(folder, state, one, keep_archives)
        return
    if not archive.is_file():
        raise DownloadError(f"{archive} is not there any more: delete {folder} and download it again, or put the file back")
    if not is_archive(archive):
        return
    shutil.rmtree(space, ignore_errors=True)
    members = read_members(archive)
    size = sum(member.size for member in members)
    _require_room(folder, size + LEAVE_FREE, f"unpacking {one.name}")
    try:
        hidden = None if progress else True
        with tqdm(total=len(members), desc=f"unpack {archive.name}", unit="file", disable=hidden, dynamic_ncols=True) as bar:

            def tell(count: int) -> None:
                bar.update(count)

            unpack(archive, members, space, tell)
    except BaseException:
        shutil.rmtree(space, ignore_errors=True)
        raise
    top, place = _place(folder, archive, [member.name for member in members])
    one.state, one.unpacked_to, one.members = PLACING, place, len(members)
    state.write(folder)
    (space / top if top else space).rename(folder / place)
    if top:
        space.rmdir()
    _settle(folder, state, one, keep_archives)


def _settle(folder: Path, state: DownloadState, one: FileState, keep_archives: bool) -> None:
    one.state = UNPACKED
    state.write(folder)
    if not keep_archives:
        (folder / one.name).unlink(missing_ok=True)


def _place(folder: Path, archive: Path, names: list[str]) -> tuple[str, str]:
    """The folder of an archive that holds all of it ("" if there is none), and the new folder for what is in the archive.

    An archive of one folder becomes that folder, any other a folder of its own name, without its suffix.
    """
    tops = {PurePosixPath(name).parts[0] for name in names}
    top = tops.pop() if len(tops) == 1 and all("/" in name for name in names) else ""
    stem = archive.name.split(".")[0] or archive.name
    for place, inside in ((top, top), (stem, top), (f"{archive.name}-unpacked", top)):
        if place and not (folder / place).exists():
            return inside, place
    raise DownloadError(f"{folder / stem} is in the way of {archive.name}: move it, and run the command again")
