"""`hf-bones cache` as a plain function: write or repair the caches of a dataset, check them, export one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_bones.dataset.arrays.export import NpzChoices, export_npz
from hf_bones.dataset.arrays.index import ArrayCacheError
from hf_bones.dataset.arrays.reading import arrays_folder, folder_states, open_arrays, verify_arrays
from hf_bones.dataset.arrays.writing import CacheReport, write_arrays
from hf_bones.dataset.schema import load_bones

_NAMED = 5  # refused rows that are listed by name


@dataclass(frozen=True)
class NpzFile:
    """What was exported: its `images`' shape and dtype, how they were made square, and its size in bytes."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    fit: str
    size: int


def cache_command(
    dataset: str,
    sizes: Sequence[int],
    *,
    out: Path | None = None,
    export: NpzChoices | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Iterator[CacheReport | NpzFile]:
    """Writes, resumes or repairs the cache of each size (px) and yields what was done, and what was exported.

    Raises FileNotFoundError where there is no such dataset, ValueError for choices that do not go together or a folder that cannot be
    written.
    """
    if export and len(sizes) != 1:
        raise ValueError(f"--export-npz writes one size to one file: give one --size, not {len(sizes)}")
    for size in sizes:
        folder = arrays_folder(dataset, size, out)
        try:
            report = write_arrays(dataset, size, folder, workers=workers, progress=progress)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ArrayCacheError(f"{folder}: {error}. What was written is kept; --out puts the array cache elsewhere") from error
        yield report
        if export:
            states, parts = folder_states(dataset), load_bones(dataset)
            arrays = open_arrays(folder, size, dataset, parts, states)
            if arrays is None:
                raise FileNotFoundError(f"{folder}: the array cache was removed while it was to be exported")
            count = export_npz(parts, arrays, size, export, progress=progress)
            yield NpzFile(export.file, (count, size, size, export.channels), export.dtype, export.fit, export.file.stat().st_size)


def verify_command(dataset: str, sizes: Sequence[int], *, out: Path | None = None, progress: bool = True) -> dict[Path, list[str]]:
    """What is wrong with the cache of each size, by its folder. Raises FileNotFoundError where one is missing."""
    folders = {size: arrays_folder(dataset, size, out) for size in sizes}
    return {folder: verify_arrays(dataset, size, folder, progress=progress) for size, folder in folders.items()}


def report_lines(report: CacheReport | NpzFile) -> list[str]:
    """A report in words."""
    if isinstance(report, NpzFile):
        return [f"{report.file}: images {report.shape} {report.dtype}, {report.fit}; {report.size / 1e6:,.1f} MB"]
    lines = [f"{report.folder}: {note}" for note in report.notes]
    if report.damaged:
        lines.append(f"{report.folder}: images found damaged and dropped: {report.damaged:,}")
    speed = f" ({report.decoded / report.decode_seconds:,.0f} images/s)" if report.decoded else ""
    lines.append(
        f"{report.folder}: {report.images - len(report.refused):,} of {report.images:,} images: {report.decoded:,} decoded{speed}, "
        f"{report.kept:,} kept; {report.pixel_bytes / 1e6:,.1f} MB of pixels, "
        f"{(report.pixel_bytes + report.index_bytes) / max(report.used_bytes, 1):.3f} × with the index; {report.seconds:.1f} s"
    )
    if report.refused:
        more = f" and {len(report.refused) - _NAMED} more" if len(report.refused) > _NAMED else ""
        lines.append(f"{report.folder}: {len(report.refused)} refused: {'; '.join(report.refused[:_NAMED])}{more}")
    return lines
