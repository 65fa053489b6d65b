"""The parts of the simulation that are not the gateway's."""

import asyncio
from collections import Counter
from random import Random

import pytest

from gateway.core.grants import Denied, Grant, Unavailable
from gateway.core.records import StoreUnavailable
from gateway.core.tokens import Windows
from simulation.auth_server import AuthServer, Endpoint
from simulation.figures import Tally, percentile
from simulation.run import Scenario, refresh_settings
from simulation.store_engine import StoreEngine
from simulation.store_server import Server
from simulation.virtual_time import StuckError, VirtualLoop
from simulation.weather import FAIR, Delay, Weather
from tests.virtual_time import virtual_time

WINDOWS = Windows(ahead=60, hard=5, leeway=0, max_expired_age=1e6)


def auth_server(weather=FAIR):
    loop = asyncio.get_running_loop()
    return AuthServer(weather, WINDOWS, lifetime=300, dice=Random(1), loop=loop)  # noqa: S311


def endpoint(server):
    return Endpoint(server, refresh_settings(Scenario()))


async def present(server, refresh, *, ago=0.0):
    """By a replica of its own, that many seconds after it was announced."""
    since = asyncio.get_running_loop().time() - ago
    return await endpoint(server).redeem(refresh, None, since=since)


def store(weather=FAIR):
    server = Server(weather, Random(1), asyncio.get_running_loop())  # noqa: S311
    return server, StoreEngine(server)


def test_whoever_waits_for_nothing_is_stuck():
    with pytest.raises(StuckError), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.Event().wait())


@virtual_time
async def test_the_reuse_of_a_refresh_token_revokes_its_family():
    server = auth_server()
    login, _, refresh = server.login("ada", 0)
    first = await present(server, refresh)
    assert isinstance(first, Grant)
    assert isinstance(await present(server, refresh), Denied)
    assert isinstance(await present(server, first.refresh_token), Denied)
    assert login.revoked
    assert (server.counts.requests, server.counts.grants, server.counts.reuses) == (3, 1, 1)


@virtual_time
async def test_two_presentations_at_once_are_counted():
    server = auth_server()
    _, _, refresh = server.login("ada", 0)
    await asyncio.gather(*(present(server, refresh) for _ in range(2)))
    assert server.counts.at_once == 1


@virtual_time
async def test_an_answer_that_nobody_reads_is_lost():
    server = auth_server()
    login, _, refresh = server.login("ada", 0)
    asked = asyncio.ensure_future(present(server, refresh))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.sleep(10)
    assert login.answer_lost
    assert login.newest != refresh.reveal()


@virtual_time
async def test_nobody_listens_for_longer_than_late_answer():
    server = auth_server(Weather(auth=Delay(usual=0, slow=1, tail=(40, 50))))
    login, _, refresh = server.login("ada", 0)
    assert await present(server, refresh) == Unavailable("no answer in time", ambiguous=True)
    await asyncio.sleep(30)
    assert login.answer_lost


@virtual_time
async def test_nothing_is_sent_in_the_second_half_of_late_answer():
    """Others may present the token at its end."""
    server = auth_server()
    login, _, refresh = server.login("ada", 0)
    assert not (await present(server, refresh, ago=16)).ambiguous
    assert (server.counts.requests, login.newest) == (0, refresh.reveal())
    assert isinstance(await present(server, refresh, ago=14), Grant)


@virtual_time
async def test_tokens_that_only_a_dead_replica_had_are_lost():
    server = auth_server()
    saved, lost = server.login("ada", 0), server.login("bob", 0)
    replica = endpoint(server)
    for _, _, refresh in (saved, lost):
        await replica.redeem(refresh, None, since=0.0)
    replica.settled(refresh_settings(Scenario()).key(saved[2]))
    replica.die()
    assert not saved[0].answer_lost
    assert lost[0].answer_lost


@virtual_time
async def test_a_server_error_spends_no_token():
    server = auth_server(Weather(auth_5xx=1))
    login, _, refresh = server.login("ada", 0)
    assert await present(server, refresh) == Unavailable("status 503", ambiguous=True)
    assert login.newest == refresh.reveal()


@virtual_time
async def test_a_store_that_stops_does_later_what_it_was_asked_for():
    server, engine = store()
    stopped = asyncio.ensure_future(server.pause(2))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="timeout"):
        await engine.write("{a}:mark", b"v", 60)
    assert server.twin.read("{a}:mark") is None
    await stopped
    assert (await engine.read("{a}:mark")).value == b"v"


@virtual_time
async def test_a_store_that_restarts_is_empty_and_wakes_its_listeners():
    server, engine = store()
    await engine.write("{a}:mark", b"v", 60)
    async with engine.news("news") as event:
        await event.wait()
        event.clear()
        gone = asyncio.ensure_future(server.restart(1))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await engine.read("{a}:mark")
        await gone
        await event.wait()
    assert await engine.read("{a}:mark") is None


@virtual_time
async def test_half_of_what_times_out_was_done():
    server, engine = store(Weather(store_lost=1))
    for number in range(100):
        with pytest.raises(StoreUnavailable):
            await engine.write(f"{{{number}}}:mark", b"v", 60)
    assert 30 < sum(server.twin.read(f"{{{number}}}:mark") is not None for number in range(100)) < 70


@virtual_time
async def test_one_thread_does_one_thing_at_a_time():
    """A crowd waits for each other, and the slowest of it in vain."""
    _, engine = store(Weather(store_work=0.01))
    asked = [engine.write("{a}:mark", b"v", 60) for _ in range(50)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert Counter(map(type, found)) == {bool: 24, StoreUnavailable: 26}


@virtual_time
async def test_a_dead_replica_sends_nothing():
    server, engine = store()
    engine.die()
    with pytest.raises(asyncio.CancelledError):
        await engine.write("{a}:mark", b"v", 60)
    assert not server.load.commands


@virtual_time
async def test_a_login_ends_once_and_for_one_reason():
    server, tally = auth_server(), Tally()
    spurious, untold, told = (server.login(user, 0)[0] for user in ("ada", "bob", "cid"))
    untold.answer_lost = told.answer_lost = True
    for _ in range(2):
        tally.logged_out(spurious, "answer_lost")
        tally.logged_out(untold, None)
        tally.logged_out(told, "answer_lost")
    assert (tally.spurious, tally.unlabelled, tally.answer_lost) == (1, 1, 1)


@pytest.mark.parametrize(("share", "found"), [(0.5, 2), (0.51, 3), (0.99, 4), (1, 4), (0, 1)])
def test_percentiles_are_values_that_were_measured(share, found):
    assert percentile([1, 2, 3, 4], share) == found
    assert percentile([], share) == 0
