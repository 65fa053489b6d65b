"""The limit on guesses of one network (D3)."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.refresher.addresses import AddressLimit, network
from tests.virtual_time import VirtualLoop, ticks, virtual_time


async def guess(limit, net="a"):
    """A token that is denied at once: None where the server was asked, or the code of the refusal."""
    problem = await limit.enter(net, 10)
    if problem is None:
        limit.charge(net)
        limit.leave(net)
    return None if problem is None else problem.code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("2001:DB8::1", "2001:db8::1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("unknown", "unknown", True),
        ("unknown", "192.0.2.1", False),
        ("::", "unknown", False),
    ],
)
def test_what_counts_as_one_client(one, other, same):
    """D3: one IPv6 subscriber has 2⁶⁴ addresses."""
    assert (network(one) == network(other)) is same


@given(st.lists(st.one_of(st.sampled_from(["enter", "good", "denied"]), st.integers(1, 20))))
def test_a_bucket_against_simple_arithmetic(steps):
    """D3: ``burst`` at once, ``rate`` on average; only denials are charged, and what is asked about is held back."""

    async def play():
        limit, asking, left = AddressLimit(burst=3, per_second=0.5, waiting=0), 0, 3.0
        for step in steps:
            if step == "enter":
                problem = await limit.enter("a", 10)
                expected = "rate_limited" if left < 1 else "auth_server_unavailable" if left - asking < 1 else None
                assert (problem.code if problem else None) == expected
                assert expected != "rate_limited" or problem.retry_after == pytest.approx((1 - left) / 0.5)
                asking += expected is None
            elif step in ("good", "denied") and asking:
                if step == "denied":
                    limit.charge("a")
                    left -= 1
                limit.leave("a")
                asking -= 1
            elif isinstance(step, int):
                await asyncio.sleep(step)
                left = min(3.0, left + step * 0.5)
        assert bool(limit._lines) is bool(asking)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())


@virtual_time
async def test_addresses_do_not_share_a_bucket():
    """D3"""
    limit = AddressLimit(burst=1, per_second=1, waiting=0)
    assert [await guess(limit, net) for net in ("a", "b", "a")] == [None, None, "rate_limited"]


@virtual_time
async def test_those_who_wait_come_in_turn():
    limit, entered = AddressLimit(burst=1, per_second=0.001, waiting=10), []

    async def use(name):
        assert await limit.enter("a", 10) is None
        entered.append(name)
        await asyncio.sleep(1)
        limit.leave("a")

    await asyncio.gather(*(use(name) for name in range(5)))
    assert entered == list(range(5))


@virtual_time
async def test_so_many_wait_and_no_more():
    """D6: the next one is told at once."""
    limit = AddressLimit(burst=1, per_second=0.001, waiting=2)
    assert await limit.enter("a", 10) is None
    waiting = [asyncio.create_task(limit.enter("a", 10)) for _ in range(2)]
    await ticks()
    assert (await limit.enter("a", 10)).code == "auth_server_unavailable"
    assert asyncio.get_running_loop().time() == 0
    assert [(await task).code for task in waiting] == ["auth_server_unavailable"] * 2
    assert asyncio.get_running_loop().time() == 10
    limit.leave("a")
    assert limit._lines == {}


@virtual_time
async def test_the_limit_is_whole_again_after_any_number_of_cancellations():
    """D5: cancelled while waiting, just when their turn came, and not at all."""
    limit = AddressLimit(burst=2, per_second=0.001, waiting=100)

    async def use():
        if await limit.enter("a", 60) is None:
            try:
                await asyncio.sleep(0)
            finally:
                limit.leave("a")

    for delay in range(30):
        tasks = [asyncio.create_task(use()) for _ in range(8)]
        for _ in range(delay % 7):
            await asyncio.sleep(0)
        for task in tasks[delay % 3 :: 2]:
            task.cancel()
        await asyncio.wait(tasks)
        assert limit._lines == {}


@virtual_time
async def test_what_is_remembered_of_addresses_is_bounded():
    """D6"""
    limit = AddressLimit(burst=1, per_second=1, waiting=1)
    for n in range(100_100):
        await guess(limit, str(n))
    assert len(limit._buckets) == 100_000
    assert limit._lines == {}
