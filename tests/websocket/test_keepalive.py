"""Which silence counts. The event loop's clock is a number here."""

from gateway.websocket.keepalive import Keepalive


class Clock:
    """An event loop's timers, fired by hand."""

    def __init__(self):
        self.now = 100.0
        self.timers = []

    def time(self):
        return self.now

    def call_at(self, when, callback):
        timer = Timer(when, callback)
        self.timers.append(timer)
        return timer

    def call_later(self, delay, callback):
        return self.call_at(self.now + delay, callback)

    def pass_(self, seconds):
        end = self.now + seconds
        while due := sorted((t for t in self.timers if t.when <= end), key=lambda t: t.when):
            self.timers.remove(due[0])
            self.now = due[0].when
            due[0].callback()
        self.now = end


class Timer:
    def __init__(self, when, callback):
        self.when = when
        self.callback = callback

    def cancel(self):
        self.callback = lambda: None


class Side:
    """A side that answers nothing."""

    def __init__(self, clock):
        self.port = self
        self.pending = 0
        self.listening = True
        self.heard_at = clock.now
        self.pings = []
        self._clock = clock

    def ping(self):
        self.pings.append(self._clock.now)

    def speaks(self):
        self.heard_at = self._clock.now


def watched(interval=20, timeout=10):
    clock = Clock()
    side, silent = Side(clock), []
    side.other = Side(clock)
    return clock, side, silent, Keepalive(side, side.other, interval, timeout, silent.append, loop=clock)


def test_a_side_that_speaks_is_not_pinged():
    clock, side, silent, _ = watched()
    for _ in range(100):
        clock.pass_(19)
        side.speaks()
    assert (side.pings, silent) == ([], [])


def test_a_silent_one_is_pinged_and_then_gone():
    clock, side, silent, _ = watched()
    clock.pass_(29)
    assert (side.pings, silent) == ([120], [])
    clock.pass_(1)
    assert silent == [side]
    clock.pass_(1000)
    assert (side.pings, silent) == ([120], [side])


def test_an_answer_counts_whatever_it_is():
    clock, side, silent, _ = watched()
    clock.pass_(25)
    side.speaks()
    clock.pass_(19.9)
    assert side.pings == [120]
    clock.pass_(0.2)
    assert (side.pings, silent) == ([120, 145], [])


def test_the_next_ping_does_not_wait_for_the_timeout():
    clock, side, silent, _ = watched(interval=10, timeout=1000)
    for _ in range(5):
        clock.pass_(10)
        side.speaks()
    assert side.pings == [110, 120, 130, 140, 150]
    clock.pass_(1009)
    assert silent == []
    clock.pass_(1)
    assert (len(side.pings), silent) == (6, [side])


def test_the_interval_counts_from_the_last_word():
    clock, side, _, _ = watched()
    clock.pass_(15)
    side.speaks()
    clock.pass_(19)
    assert side.pings == []
    clock.pass_(2)
    assert side.pings == [135]


def test_silence_that_we_could_not_hear_does_not_count():
    """D4: the other side is slow, so this one is not read."""
    clock, side, silent, _ = watched()
    clock.pass_(25)
    side.listening = False
    clock.pass_(1000)
    assert silent == []
    side.listening = True
    clock.pass_(60)
    assert silent == [side]


def test_two_that_both_stop_reading_are_not_kept_for_ever():
    """D4: each waits for the other, so none is read; it counts from when the last byte moved."""
    clock, side, silent, _ = watched()
    side.listening = side.other.listening = False
    side.pending = 1000
    side.other.pending = 1000
    for _ in range(100):
        clock.pass_(19)
        side.other.pending -= 1
    assert silent == []
    clock.pass_(70)
    assert silent == [side]


def test_a_slow_reader_that_still_takes_bytes_lives():
    clock, side, silent, _ = watched()
    side.pending = 1000
    for left in range(999, 900, -1):
        clock.pass_(9)
        side.pending = left
    assert silent == []
    clock.pass_(60)
    assert silent == [side]


def test_no_interval_no_pings():
    clock, side, silent, keepalive = watched(interval=0)
    clock.pass_(10_000)
    assert (side.pings, silent) == ([], [])
    keepalive.stop()


def test_stopped_it_does_nothing():
    clock, side, silent, keepalive = watched()
    keepalive.stop()
    clock.pass_(1000)
    assert (side.pings, silent) == ([], [])
