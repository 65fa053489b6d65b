"""The guards alone; time is an argument."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.refresher.guard import Breaker, Slots, Throttle


def test_the_pauses_of_an_open_breaker_grow_to_five_seconds():
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(4):
        breaker.failed(now)
        assert breaker.refuses(now) is None
    for _ in range(6):
        breaker.started(now)
        breaker.failed(now)
        pauses.append(breaker.refuses(now))
        now += pauses[-1]
        assert breaker.refuses(now) is None
    assert pauses == [1, 2, 4, 5, 5, 5]


def test_after_a_success_the_pauses_begin_anew():
    breaker = Breaker()
    for _ in range(9):
        breaker.failed(0)
    breaker.succeeded()
    assert breaker.refuses(0) is None
    for _ in range(5):
        breaker.failed(100)
    assert breaker.refuses(100) == 1


def test_a_probe_that_never_went_out_is_made_up_for_at_once():
    """B27: our own want of descriptors neither opens the breaker nor keeps it open."""
    breaker = Breaker()
    for _ in range(9):
        breaker.abandoned()
    assert breaker.refuses(0) is None
    for _ in range(5):
        breaker.failed(0)
    breaker.started(1)
    assert breaker.refuses(1) == 1
    breaker.abandoned()
    assert breaker.refuses(1) is None


@given(st.lists(st.sampled_from(["failed", "succeeded", "started", "second"])))
def test_a_breaker_is_never_shut_for_longer_than_five_seconds(steps):
    breaker, now, refused_since = Breaker(), 0.0, None
    for step in [*steps, *["second"] * 6]:
        if step == "second":
            now += 1
        elif step == "succeeded":
            breaker.succeeded()
        elif step == "failed" or breaker.refuses(now) is None:
            getattr(breaker, step)(now)
            refused_since = now
        wait = breaker.refuses(now)
        assert wait is None or 0 < wait <= 5
        assert wait is None or now - refused_since <= 5


@settings(max_examples=5 * settings.default.max_examples)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 60), st.integers(0, 30)), max_size=12))
def test_the_throttle_against_a_list_of_all_that_was_said(said):
    """B5: a token waits as long as it was told; all wait once three different ones wait at the same time."""
    throttle, now, told, everybody = Throttle(), 0.0, {}, 0.0
    for key, seconds, pause in said:
        if told.get(key, 0) <= now:
            throttle.throttled(key, seconds, now)
            told[key] = now + seconds
            if sum(until > now for until in told.values()) >= 3:
                everybody = max(everybody, now + seconds)
        now += pause
        for name in "abcde":
            until = max(told.get(name, 0), everybody)
            assert throttle.refuses(name, now) == (until - now if until > now else None)


async def test_slots_are_whole_again_after_any_number_of_cancellations():
    """D5: cancelled while waiting, just when a slot came free, and not at all."""
    slots = Slots(concurrent=2, waiting=100)
    held = []

    async def use():
        if await slots.acquire(60):
            held.append(True)
            try:
                await asyncio.sleep(0)
            finally:
                slots.release()

    for delay in range(30):
        tasks = [asyncio.create_task(use()) for _ in range(8)]
        for _ in range(delay % 7):
            await asyncio.sleep(0)
        for task in tasks[delay % 3 :: 2]:
            task.cancel()
        await asyncio.wait(tasks)
    assert held
    assert [await slots.acquire(0) for _ in range(3)] == [True, True, False]


def test_what_the_throttle_remembers_is_bounded():
    """D6"""
    throttle = Throttle()
    for n in range(200_000):
        throttle.throttled(str(n), 1000, 0)
    assert len(throttle._until) == 100_000
    assert len(throttle._longest) == 3
