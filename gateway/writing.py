"""Writes log lines to a descriptor that may be slow, full or closed, and does not wait for it while serving.

What is urgent is written at once, with all that stands before it; the rest is written together. Only so much is
written as the descriptor has said to have room for. It is not made non-blocking, because other processes may share
it, a shell for one. What it has no room for waits in a bounded buffer. Beyond the bound, and where writing fails,
lines are lost: they are counted, and the number is written once that works again. Nothing here raises.

Processes that write to the same descriptor take turns (``Turns``): else lines that a pipe does not take in one
piece would be torn apart, and where one of them has found room, another would wait.
"""

import asyncio
import fcntl
import os
import select
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable

DELAY = 0.1
"""Seconds that a line may wait for others."""
RETRY = 0.02
"""Seconds between two tries at a descriptor that has no room: a pipe of 64 KB still takes 3 MB/s."""
BATCH = 32 * 1024
"""Bytes that are written without waiting for more."""
MOST = 256 * 1024
"""Bytes that may wait for room; a line that is not urgent is lost beyond it."""
MOST_URGENT = 16 * MOST
"""The same for an urgent line."""
LAST_PATIENCE = 1.0
"""Seconds that ``close`` waits for room."""
_SHORTLY = 0.001
"""Seconds between two tries to get a turn, at the end."""


class Turns:
    """Whose turn it is to write, among processes that are forked once this is made. One that dies gives it back."""

    def __init__(self) -> None:
        self._descriptor = _nameless_file()

    def take(self) -> bool:
        """Take the turn, or keep it. False: it is another process's."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def give(self) -> None:
        """Give it back."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _nameless_file() -> int:
    """In memory, where the system can: a container may have no place to write to."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("turns")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class LineWriter:
    """Lines to one descriptor, in their order. Threads and finalizers may use it too."""

    def __init__(self, descriptor: int, lost: Callable[[int], bytes], turns: Turns | None = None) -> None:
        """Args: lost: makes the line that says how many were lost; turns: with other processes."""
        self._turns = turns
        self._torn = False
        """A line is written in part: nobody else may write before its rest."""
        self._descriptor = descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._lost_line = lost
        self._waiting: deque[bytes] = deque()
        self._begun = b""
        """Lines that are being written: no longer in ``_waiting``."""
        self._size = 0
        self._lost = 0
        self._at_work = threading.Lock()
        self._timer_due = 0.0
        """When a timer will flush, in monotonic seconds; 0: none is set."""

    def write(self, line: bytes, *, urgent: bool) -> None:
        """Write ``line``, which ends in a line feed: now if it is ``urgent``, else within ``DELAY``."""
        if self._size > (MOST_URGENT if urgent else MOST):
            self._lost += 1
            return
        self._waiting.append(line)
        self._size += len(line)
        if urgent or self._size >= BATCH:
            self.flush()
        else:
            self._flush_in_time()

    def flush(self) -> None:
        """Write as much as there is room for now."""
        self._write(0.0)

    def close(self) -> None:
        """Write all that there is room for within ``LAST_PATIENCE``. What is written later is written at once."""
        self._write(LAST_PATIENCE)

    def _flush_in_time(self) -> None:
        now = time.monotonic()
        if now < self._timer_due:
            return
        if self._timer_due or not self._set_timer(now, DELAY):  # the loop is late or has ended, or there is none
            self._timer_due = 0.0
            self.flush()

    def _set_timer(self, now: float, delay: float) -> bool:
        """False: this thread runs no loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        loop.call_later(delay, self._on_timer)
        self._timer_due = now + delay
        return True

    def _on_timer(self) -> None:
        self._timer_due = 0.0
        self.flush()

    def _write(self, patience: float) -> None:
        again = True
        while again and self._at_work.acquire(timeout=patience):  # else who is at work takes this along
            try:
                done = self._in_turn(time.monotonic() + patience)
            finally:
                self._at_work.release()
            again = done and bool(self._waiting)  # another thread came when the last look was over
        if self._size and not self._timer_due:
            self._set_timer(time.monotonic(), RETRY)

    def _in_turn(self, deadline: float) -> bool:
        """False: something is left, or was lost."""
        turns = self._turns
        while turns is not None and not turns.take():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_SHORTLY)
        try:
            done = self._drain(deadline)
            if done:
                self._tell_of_loss()
        finally:
            if turns is not None and not self._torn:
                turns.give()
        return done

    def _drain(self, deadline: float) -> bool:
        """False: something is left, or was lost."""
        while self._take():
            if not self._has_room(deadline):
                return False
            try:
                written = os.write(self._descriptor, self._begun[: select.PIPE_BUF])
            except BlockingIOError:
                return False
            except OSError:
                self._lose_everything()
                return False
            self._begun = self._begun[written:]
            self._torn = bool(self._begun)
            self._size -= written
        self._size = sum(map(len, self._waiting))  # threads may have confused it
        return True

    def _take(self) -> bool:
        """Have something to write: as many whole lines as a pipe takes in one piece, or one longer line."""
        if self._begun:
            return True
        lines: list[bytes] = []
        size = 0
        while self._waiting and (not lines or size + len(self._waiting[0]) <= select.PIPE_BUF):
            line = self._waiting.popleft()
            lines.append(line)
            size += len(line)
        self._begun = b"".join(lines)
        return bool(lines)

    def _has_room(self, deadline: float) -> bool:
        """``PIPE_BUF`` bytes can be written without waiting; also where writing will fail."""
        return bool(self._room.poll(max(deadline - time.monotonic(), 0) * 1000))

    def _lose_everything(self) -> None:
        self._lost += self._begun.count(b"\n") + len(self._waiting)
        self._waiting.clear()
        self._begun = b""
        self._torn = False
        self._size = 0

    def _tell_of_loss(self) -> None:
        lost = self._lost
        if lost and self._has_room(0.0):
            try:
                os.write(self._descriptor, self._lost_line(lost))
            except OSError:
                return
            self._lost -= lost
