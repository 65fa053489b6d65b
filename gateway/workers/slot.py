"""One worker's place: its socket, its process, and when it may be started again."""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.workers.line import Line

STEADY: Final = 10.0
"""Seconds that a worker has to live for its death to count as its first."""
SHORTEST: Final = 0.5
"""Seconds before the second start after an early death; then twice as long each time. The first is at once."""
LONGEST: Final = 30.0

Work = Callable[[socket.socket, Line], int]
"""What a worker does, in its own process: serves on the socket and returns its exit status."""


@dataclass(slots=True, eq=False)
class Worker:
    """One process, seen from its parent."""

    pid: int
    line: Line
    started_at: float
    ready: bool = False


class Slot:
    """A worker, or the want of one. Times are monotonic seconds."""

    def __init__(self, number: int, sock: socket.socket, bind: Callable[[], socket.socket]) -> None:
        """Args: sock: bound and listening; bind: makes another one on the same address."""
        self.number = number
        self.worker: Worker | None = None
        self.due = float("-inf")
        """When it may be started."""
        self._sock: socket.socket | None = sock
        self._bind = bind
        self._early_deaths = 0

    def start(self, work: Work, leave: Callable[[], None], now: float) -> Line:
        """Fork. Returns the parent's line to the worker.

        Args:
            work: the worker's.
            leave: in the new process, lets go of what is the parent's alone.
            now: the time.

        Raises:
            OSError: there is no process or no socket to be had.
        """
        sock = self._listening()
        ours, theirs = Line.pair()
        try:
            pid = os.fork()
            if pid == 0:
                _work(work, sock, theirs, (ours.close, leave))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.worker = Worker(pid, ours, now)
        return ours

    def bury(self, worker: Worker, now: float) -> int:
        """Its line has ended, and so it has, or will at once. Returns its exit status, negative for a signal."""
        worker.line.close()
        _, status = os.waitpid(worker.pid, 0)
        self.worker = None
        self.pause(now, early=now - worker.started_at < STEADY)
        return os.waitstatus_to_exitcode(status)

    def pause(self, now: float, *, early: bool) -> None:
        """Choose when the next one may be started. The first time that is at once, and meanwhile clients wait at
        the socket; where it takes longer, they are left to the other workers.
        """
        self._early_deaths = self._early_deaths + 1 if early else 0
        self.due = now
        if self._early_deaths > 1:
            self.due += min(SHORTEST * 2 ** (self._early_deaths - 2), LONGEST)
            self.deaf()

    def deaf(self) -> None:
        """Accept nobody here any more: what connects goes to other workers, or is refused."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _listening(self) -> socket.socket:
        """A worker that drained has ended the listening of its socket for all who have it."""
        if self._sock is not None and not self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self.deaf()
        if self._sock is None:
            self._sock = self._bind()
        return self._sock


def _work(work: Work, sock: socket.socket, line: Line, before: Iterable[Callable[[], None]]) -> None:
    """In the new process; never returns. Nothing of the parent's clean-up runs here."""
    status = 1
    try:
        for step in before:
            step()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # until the worker's own loop looks after them
        status = work(sock, line)
    except BaseException:  # noqa: BLE001  # it would go on as a second parent
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)
