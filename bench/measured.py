"""What the kernel says a process tree has used, which no other work on the machine can blur.

Rates swing with the neighbours; CPU seconds hardly do. Linux only, like the rest of the bench.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree so far, with that of children that have ended."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def own_cpu_seconds(pid: int) -> float:
    """The same of one process alone, as fine as the kernel counts it: nanoseconds."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a pid


def main_thread_seconds(pid: int) -> float:
    """User and system time of a process's first thread, which is where a reactor runs."""
    stat = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text()
    return int(stat.split()[0]) / 1e9


def resident_bytes(pid: int) -> int:
    """Resident memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def share_bytes(root: int) -> int:
    """Memory of the tree (PSS): a page that several processes share counts once."""
    total = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def until_quiet(pid: int, most: float = 60.0) -> None:
    """Wait until a tree has done what it still had to do, but no longer than ``most`` seconds.

    Workers answer one after the other, and a database tidies up after a load.
    """
    end = time.monotonic() + most
    while time.monotonic() < end:
        before = cpu_seconds(pid)
        time.sleep(0.4)
        if cpu_seconds(pid) - before < 0.03:
            return


def open_files(root: int) -> int:
    """Descriptors that the tree holds."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in tree(root))


def threads(root: int) -> int:
    """Threads of the tree."""
    return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in tree(root))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How fast the second figure of the points grows with the first: least squares."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
