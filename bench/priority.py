"""Before everybody else on a machine that others use too (sched(7)): for figures while it is busy. Root only."""

import atexit
import os
from contextlib import suppress
from pathlib import Path

_FIRST = -20
_USUAL = 0


def raise_own() -> None:
    """Raise this process's priority until it ends; all that it starts has the same."""
    os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
    _set_group(os.getpid(), _FIRST)
    atexit.register(_set_group, os.getpid(), _USUAL)


def share_with(pid: int) -> None:
    """A process in a session of its own is weighed with its session, which does not inherit: tell the kernel."""
    if os.getpriority(os.PRIO_PROCESS, 0) == _FIRST:
        _set_group(pid, _FIRST)


def _set_group(pid: int, nice: int) -> None:
    with suppress(OSError):  # a kernel without autogroups weighs processes alone
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
