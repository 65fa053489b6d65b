"""What the kernel tells of processes and cores (proc(5)); Linux only."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")
_UTIME = 11
"""Its place after the command's name: field 14 of stat."""
_STIME = 12
_RESET_PEAK = "5"
"""Written to clear_refs: forget the peak of the resident set."""


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live."""
    found = [pid]
    for task in (_PROC / str(pid) / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # threads come and go
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living descendants, to one clock tick (10 ms)."""
    return sum(_ticks(each) for each in tree(pid)) / TICKS


def _ticks(pid: int) -> int:
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[_UTIME]) + int(fields[_STIME])


def resident(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold now."""
    return sum(int((_PROC / str(each) / "statm").read_text().split()[1]) for each in tree(pid)) * _PAGE


def peak(pid: int) -> int:
    """The most bytes that each of them has held, added up, since its start or ``forget_peak``."""
    return sum(_status(each, "VmHWM") for each in tree(pid))


def forget_peak(pid: int) -> None:
    """Count ``peak`` from now."""
    for each in tree(pid):
        (_PROC / str(each) / "clear_refs").write_text(_RESET_PEAK)


def _status(pid: int, name: str) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class CoreTime:
    """How long a core has worked and how long it could have, in clock ticks since the start of the machine."""

    busy: int
    total: int

    def since(self, earlier: "CoreTime") -> float:
        """The share of the time in between in which the core was busy, 0 to 1."""
        total = self.total - earlier.total
        return (self.busy - earlier.busy) / total if total else 0.0

    def busy_seconds(self, earlier: "CoreTime") -> float:
        """How long it was busy in between."""
        return (self.busy - earlier.busy) / TICKS


def core_time(core: int) -> CoreTime:
    """The counters of one core; time stolen by a hypervisor counts as busy, since nobody here could have it."""
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            return _core_time(int(field) for field in line.split()[1:9])
    raise ValueError(f"no core {core}")


def _core_time(fields: Iterable[int]) -> CoreTime:
    user, nice, system, idle, iowait, irq, softirq, steal = fields
    busy = user + nice + system + irq + softirq + steal
    return CoreTime(busy, busy + idle + iowait)
