"""The parent of the workers: serves nobody, starts them, replaces those that die, and ends with them."""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Final

from gateway.events import Emit, Noticed
from gateway.workers.line import INSIST, READY, STOP
from gateway.workers.slot import Slot, Work, Worker

HURRY: Final = 5.0
"""Seconds that workers have to end at once; then they are killed."""


class Supervisor:
    """For a process without threads and without an event loop: workers are forked from it."""

    def __init__(
        self,
        work: Work,
        sockets: Sequence[socket.socket],
        bind: Callable[[], socket.socket],
        *,
        ready: Callable[[], None],
        emit: Emit,
    ) -> None:
        """Args:
        work: what a worker does.
        sockets: one for each worker, all listening on the same address.
        bind: makes one more of them.
        ready: is called once, when every worker is.
        emit: hears what an operator should know.
        """
        self._work = work
        self._slots = [Slot(number, sock, bind) for number, sock in enumerate(sockets, 1)]
        self._ready = ready
        self._emit = emit
        self._signals: list[int] = []
        self._stopping = False
        self._kill_at: float | None = None
        self._all_ready = False
        self._status = 0
        self._selector = selectors.DefaultSelector()
        self._awake, self._wake = os.pipe()

    def run(self) -> int:
        """Until a signal has ended all of them, or one could not be started at all. Returns the exit status."""
        with self._hearing_signals():
            while not self._stopping or any(slot.worker for slot in self._slots):
                self._start_what_is_due()
                self._wait()
                self._obey()
                self._kill_what_is_overdue()
        return self._status

    def _start_what_is_due(self) -> None:
        for slot in self._slots:
            now = time.monotonic()
            if self._stopping or slot.worker is not None or slot.due > now:
                continue
            try:
                line = slot.start(self._work, partial(self._leave, slot), now)
            except OSError as error:
                slot.pause(now, early=True)
                self._lost(slot, f"could not be started: {error.strerror}", status=1)
            else:
                self._selector.register(line, selectors.EVENT_READ, slot)

    def _wait(self) -> None:
        """For words, ends, signals, and the time to start one again."""
        due = [slot.due for slot in self._slots if slot.worker is None and not self._stopping]
        if self._kill_at is not None:
            due.append(self._kill_at)
        patience = max(min(due) - time.monotonic(), 0) if due else None
        for key, _ in self._selector.select(patience):
            slot = key.data
            if slot is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 64)
            elif slot.worker is not None:
                self._listen_to(slot, slot.worker)

    def _listen_to(self, slot: Slot, worker: Worker) -> None:
        for word in worker.line.heard():
            if word == READY:
                worker.ready = True
                self._announce()
            elif not word:
                self._selector.unregister(worker.line)
                self._buried(slot, worker)

    def _announce(self) -> None:
        if not self._all_ready and all(slot.worker is not None and slot.worker.ready for slot in self._slots):
            self._all_ready = True
            self._ready()

    def _buried(self, slot: Slot, worker: Worker) -> None:
        status = slot.bury(worker, time.monotonic())
        if self._stopping:
            return
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._lost(slot, f"process {worker.pid} {how}", status=0 if worker.ready else status)

    def _lost(self, slot: Slot, detail: str, *, status: int) -> None:
        """Where one never served, before all have, there is no point in trying again (``status`` is not 0)."""
        if status and not self._all_ready:
            self._status = status if status > 0 else 1
            self._stop()
            return
        pause = max(slot.due - time.monotonic(), 0)
        when = f"in {pause:.1f} s" if pause else "now"
        told = f"worker {slot.number}: {detail}; another one is started {when}"
        self._emit(Noticed(what="worker_ended", detail=told, alarm=True))

    def _obey(self) -> None:
        while self._signals:
            if self._signals.pop(0) == signal.SIGHUP:
                detail = "the file is read at start only; restart to apply it"
                self._emit(Noticed(what="reload_not_supported", detail=detail))
            else:
                self._stop()

    def _stop(self) -> None:
        """The first time: let them drain; then: at once."""
        word = STOP
        if self._stopping:
            word = INSIST
            self._kill_at = time.monotonic() + HURRY
        self._stopping = True
        for slot in self._slots:
            slot.deaf()
            if slot.worker is not None:
                slot.worker.line.say(word)

    def _kill_what_is_overdue(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for slot in self._slots:
                if slot.worker is not None:
                    os.kill(slot.worker.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """Signals end the wait; what they ask for is done between two waits."""
        for end in (self._awake, self._wake):
            os.set_blocking(end, False)
        self._selector.register(self._awake, selectors.EVENT_READ, None)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        earlier = {number: signal.signal(number, self._note) for number in numbers}
        signal.set_wakeup_fd(self._wake)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in earlier.items():
                signal.signal(number, handler)
            self._close()

    def _leave(self, own: Slot) -> None:
        """In a new worker: let go of what is the parent's, and of what is the others'."""
        self._close()
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.line.close()
            if slot is not own:
                slot.deaf()

    def _close(self) -> None:
        self._selector.close()
        for end in (self._awake, self._wake):
            os.close(end)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
