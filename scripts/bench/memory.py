"""The memory of a process. Apart from `harness`, since processes whose memory is measured import it."""

from __future__ import annotations

from pathlib import Path


def peak_memory(pid: int | str = "self") -> int:
    """The most memory (RSS, bytes) that a process had; 0 once it has ended. Linux only.

    The kernel's own figure, which no sampling misses: that of `getrusage` counts what the parent had when the process was forked.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
