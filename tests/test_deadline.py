"""One timer for many deadlines."""

import asyncio

from gateway.deadline import Deadline


class Clock:
    """A loop's time and timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, object]] = []
        self.made = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when, callback):
        self.made += 1
        clock, entry = self, (when, callback)
        self.timers.append(entry)

        class Handle:
            def when(self):
                return when

            def cancel(self):
                clock.timers.remove(entry)

        return Handle()

    def advance(self, to: float) -> None:
        while due := [t for t in self.timers if t[0] <= to]:
            self.now = min(t[0] for t in due)
            entry = next(t for t in due if t[0] == self.now)
            self.timers.remove(entry)
            entry[1]()
        self.now = to


def test_it_expires_once_at_the_time_set_last():
    clock, expired = Clock(), []
    deadline = Deadline(clock, lambda: expired.append(clock.now))
    deadline.set(10)
    clock.advance(5)
    deadline.set(10)
    clock.advance(14.9)
    assert not expired
    clock.advance(100)
    assert expired == [15]


def test_it_can_be_set_again_once_it_has_expired():
    clock, expired = Clock(), []
    deadline = Deadline(clock, lambda: expired.append(clock.now))
    deadline.set(10)
    clock.advance(20)
    deadline.at(30)
    clock.advance(100)
    assert expired == [10, 30]


def test_an_earlier_time_counts_too():
    clock, expired = Clock(), []
    deadline = Deadline(clock, lambda: expired.append(clock.now))
    deadline.set(60)
    deadline.set(1)
    clock.advance(100)
    assert (expired, clock.timers) == ([1], [])


def test_cleared_or_cancelled_it_does_not_expire():
    clock, expired = Clock(), []
    for end in ("clear", "cancel"):
        deadline = Deadline(clock, lambda: expired.append(clock.now))
        deadline.set(10)
        getattr(deadline, end)()
        clock.advance(clock.now + 100)
    assert (expired, clock.timers) == ([], [])


def test_a_thousand_requests_cost_one_timer():
    clock = Clock()
    deadline = Deadline(clock, lambda: None)
    for _ in range(1000):
        deadline.set(60)
        clock.advance(clock.now + 0.01)
        deadline.clear()
    assert (clock.made, len(clock.timers)) == (1, 1)


async def test_it_runs_on_the_loop():
    expired = asyncio.Event()
    Deadline(asyncio.get_running_loop(), expired.set).set(0.01)
    async with asyncio.timeout(5):
        await expired.wait()
