"""``python pinned.py CORE program argument…``: become that program, on one core, and end with whoever started it.

Run by its path and with ``-I -S``: it imports nothing that takes time.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_MOST_DESCRIPTORS = 65536
"""Programs that make a table of all descriptors they could have grow with the limit."""


def main(core: int, argv: list[str]) -> None:
    """Replace this process. The kernel sends SIGTERM when its parent dies, however it dies."""
    os.sched_setaffinity(0, {core})
    hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(argv[0], argv)  # noqa: S606  # becoming the program is the purpose


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
