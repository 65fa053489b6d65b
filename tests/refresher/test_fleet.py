"""Many replicas with one store: one presentation in the whole fleet (CONTRACT §4.1, §4.5)."""

import asyncio

import pytest

from gateway.core import errors
from gateway.core.families import Stored
from gateway.core.grants import Denied, Misconfigured, Throttled, Unavailable
from gateway.core.outcomes import Dead, Failed, Mismatched, Renewed
from gateway.core.tokens import Obtained
from gateway.refresher.marks import Marks
from tests.refresher.fleet import Fleet, now
from tests.refresher.support import HOUR, Late, Lost, Slow, code, pair_of
from tests.virtual_time import ticks, virtual_time, wall

DOWN = Unavailable("refused", ambiguous=False)


async def ask_all(fleet, pair, times=1, **kwargs):
    return await asyncio.gather(*(desk.ask(pair, **kwargs) for desk in fleet.alive for _ in range(times)))


async def a_leader(fleet, pair, step=None):
    """The first replica's flight is with the server; what will come of it, and those of all others, who wait."""
    fleet.server.script.append(step or asyncio.Event())
    first = asyncio.ensure_future(fleet.desks[0].ask(pair))
    await asyncio.sleep(0.1)
    assert len(fleet.server.presented) == 1
    others = [asyncio.ensure_future(desk.ask(pair)) for desk in fleet.desks[1:]]
    await asyncio.sleep(0.1)
    return first, others


@virtual_time
async def test_three_replicas_with_three_hundred_requests_each_present_once():
    """R7: all get the same pair, and one of them is told that it was its own flight."""
    fleet = Fleet(3)
    old = fleet.server.login()
    fleet.server.script.append(Late(0.05))
    found = await ask_all(fleet, old, times=300)
    assert len(fleet.server.presented) == 1
    assert len({pair_of(f)[1].reveal() for f in found}) == 1
    assert sum(not f.joined for f in found) == 1
    await asyncio.sleep(1)
    assert fleet.store.kinds() == {"family", "member"}, "neither lease nor intent is left"
    assert all(desk.refresher.under_way == 0 for desk in fleet.desks)


@virtual_time
async def test_a_hundred_replicas_that_are_woken_together_find_the_same():
    """R7"""
    fleet = Fleet(100)
    old = fleet.server.login()
    first, others = await a_leader(fleet, old, Late(5))
    found = await asyncio.gather(first, *others)
    assert len({pair_of(f)[1].reveal() for f in found}) == 1
    assert len(fleet.server.presented) == 1


@pytest.mark.parametrize("seconds", [4, 7, 13, 29])
@virtual_time
async def test_a_server_slower_than_the_lease_sees_one_presentation(seconds):
    """R8, B3: nearly five times the lease; who waits for longer than it may gets 503, and the tokens later."""
    fleet = Fleet(3, timeout=10)
    old = fleet.server.login()
    fleet.server.script.append(Late(seconds))
    found = await ask_all(fleet, old)
    assert all(isinstance(f, Renewed) or code(f) == "auth_server_unavailable" for f in found)
    await asyncio.sleep(max(seconds - now(), 0) + 0.1)
    assert all(isinstance(f, Renewed) for f in await ask_all(fleet, old))
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_the_lease_is_renewed_for_as_long_as_the_server_may_answer():
    """R8: five leases, however short they are."""
    fleet = Fleet(2, lease=1.0, timeout=20)
    old = fleet.server.login()
    fleet.server.script.append(Late(5))
    found = await ask_all(fleet, old)
    assert [isinstance(f, Renewed) for f in found] == [True, True]
    assert len(fleet.server.presented) == 1
    assert len(fleet.commands("renew")) >= 10


@virtual_time
async def test_a_quick_flight_renews_nothing():
    fleet = Fleet(1)
    await fleet.desks[0].ask(fleet.server.login())
    await asyncio.sleep(10)
    assert not fleet.commands("renew")


@virtual_time
async def test_the_leaders_client_hangs_up():
    """R9: the refresh completes; the others and its own retry get what it brought."""
    fleet = Fleet(3)
    old = fleet.server.login()
    go = asyncio.Event()
    first, others = await a_leader(fleet, old, go)
    first.cancel()
    await asyncio.wait({first})
    go.set()
    found = await asyncio.gather(*others)
    again = await ask_all(fleet, old)
    assert len({pair_of(f)[1].reveal() for f in (*found, *again)}) == 1
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_new_tokens_are_stored_before_the_lease_is_given_back():
    """R11: whoever gets the lease next finds them."""
    fleet = Fleet(1)
    await fleet.desks[0].ask(fleet.server.login())
    order = [operation for _, operation, _ in fleet.store.commands]
    assert order[-5:] == ["enrol", "put_family", "enrol", "resolve", "release"]
    assert order.index("acquire") < order.index("intend") < order.index("put_family")


@virtual_time
async def test_waiters_never_present_and_cost_a_command_for_each_poll():
    """R7: while one and the same holds the lease there is nothing new to read."""
    fleet = Fleet(2)
    old = fleet.server.login()
    await a_leader(fleet, old, Late(9))
    fleet.store.commands.clear()
    await asyncio.sleep(8)
    waiters = [operation for name, operation, _ in fleet.store.commands if name == 1]
    assert waiters.count("holder") <= 16
    assert len(waiters) - waiters.count("holder") <= 3
    assert "acquire" not in waiters


@virtual_time
async def test_a_lost_publication_is_survived_by_the_poll():
    """Issue 5: "a lost publish is survived by the poll"."""
    fleet = Fleet(3)
    fleet.store.drops_news = True
    old = fleet.server.login()
    first, others = await a_leader(fleet, old, Late(3))
    found = await asyncio.gather(first, *others)
    assert now() < 3.2 + fleet.desks[0].settings.poll_most
    assert len({pair_of(f)[1].reveal() for f in found}) == 1


@virtual_time
async def test_before_its_patience_ends_a_waiter_looks_once_more():
    """CONTRACT §4.5: the answer came a moment ago, and its news was lost."""
    fleet = Fleet(2, poll=60.0, poll_most=60.0)
    fleet.store.drops_news = True
    old = fleet.server.login()
    fleet.server.script.append(Late(5))
    found = await ask_all(fleet, old, patience=8)
    assert all(isinstance(f, Renewed) for f in found)
    assert now() < 8


@virtual_time
async def test_whoever_waits_in_vain_gets_503_and_keeps_its_credentials():
    """CONTRACT §4.5"""
    fleet = Fleet(2, timeout=10)
    old = fleet.server.login()
    _, [other] = await a_leader(fleet, old, Late(20))
    assert code(await other) == "auth_server_unavailable"
    await asyncio.sleep(15)
    assert isinstance(await fleet.desks[1].ask(old), Renewed)
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_who_gets_the_lease_looks_again_first():
    """R7: another replica had its whole turn between this one's look and its lease."""
    for delay in range(16):
        fleet = Fleet(2)
        old = fleet.server.login()
        found = [asyncio.ensure_future(fleet.desks[0].ask(old))]
        await asyncio.sleep(delay / 1000)
        found.append(asyncio.ensure_future(fleet.desks[1].ask(old)))
        assert len({pair_of(f)[1].reveal() for f in await asyncio.gather(*found)}) == 1
        assert len(fleet.server.presented) == 1, delay


@virtual_time
async def test_whenever_the_newest_tokens_owner_joins_a_waiting_flight_it_gets_a_newer_one():
    """CONTRACT §3: at every step of the flight; it came because its token is of no use."""
    for delay in range(40):
        fleet = Fleet(2)
        old = fleet.server.login()
        first, [older] = await a_leader(fleet, old, Late(1))
        new = pair_of(await first)
        await asyncio.sleep(delay / 4000)
        found = pair_of(await fleet.desks[1].ask((new[0], old[1])))
        assert found[0].raw != new[0].raw, delay
        assert isinstance(await older, Renewed)


@virtual_time
async def test_a_flight_waits_for_another_process_as_long_as_somebody_asks_for_it():
    """CONTRACT §4.5: who joined by way of another flight counts too."""
    fleet = Fleet(2, poll=1.0)
    old = fleet.server.login()
    new = pair_of(await fleet.desks[0].ask(old))
    await asyncio.sleep(2 * HOUR)
    desk, key = fleet.desks[1], fleet.desks[0].settings.key(new[1])
    await desk.store.acquire(key, "another", 1000)
    waiting = asyncio.ensure_future(desk.ask(new, patience=100))
    await asyncio.sleep(20)
    desk.ticket(old)
    await asyncio.sleep(20)
    assert not waiting.done()
    await asyncio.sleep(15)
    assert isinstance(await waiting, Failed)


# What the server says is said to all


@virtual_time
async def test_a_denial_is_everybodys():
    """R12, B8: one presentation for the whole fleet, as long as the denial is remembered."""
    fleet = Fleet(3)
    old = fleet.server.login()
    fleet.server.logins[old[1].reveal()].revoked = True
    first, others = await a_leader(fleet, old, Late(1))
    assert await asyncio.gather(first, *others) == [Dead()] * 3
    assert await ask_all(fleet, old) == [Dead()] * 3
    assert len(fleet.server.presented) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (DOWN, "auth_server_unavailable"),
        (Unavailable("reset", ambiguous=True), "auth_server_unavailable"),
        (Misconfigured("invalid_client"), "auth_server_misconfigured"),
        (Throttled(30), "auth_server_unavailable"),
    ],
    ids=str,
)
@virtual_time
async def test_a_failure_is_every_waiters_and_soon_forgotten(answer, expected):
    """R13: those who waited do not present one after the other; the next request may."""
    fleet = Fleet(5)
    old = fleet.server.login()
    first, others = await a_leader(fleet, old, Slow(2, answer))
    found = await asyncio.gather(first, *others)
    assert {code(f) for f in found} == {expected}
    assert len({f.problem.retry_after for f in found}) == 1
    assert len(fleet.server.presented) == 1
    await asyncio.sleep(30 if isinstance(answer, Throttled) else 1)
    assert isinstance(await fleet.desks[1].ask(old), Renewed)


@virtual_time
async def test_a_token_that_was_throttled_is_left_alone_by_all():
    """B5: for as long as the server said."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.server.script.append(Throttled(30))
    await fleet.desks[0].ask(old)
    await asyncio.sleep(29)
    assert code(await fleet.desks[1].ask(old)) == "auth_server_unavailable"
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_what_one_replica_suffers_from_is_not_told_to_the_others():
    """B27: it has no descriptors; the next in the line has."""
    fleet = Fleet(2)
    old = fleet.server.login()
    ours = Unavailable("no descriptors", ambiguous=False, exhausted=True)
    first, [other] = await a_leader(fleet, old, Slow(2, ours))
    assert code(await first) == "overloaded"
    assert isinstance(await other, Renewed)
    assert now() < 2.5


@virtual_time
async def test_a_failure_does_not_cover_a_denial():
    """B8: whoever failed had begun before."""
    fleet = Fleet(1)
    store, settings = fleet.desks[0].store, fleet.desks[0].settings
    marks = Marks(store, settings, shared=True)
    await marks.pause("key", errors.AUTH_SERVER_UNAVAILABLE, 10)
    await marks.bury("key", Dead("answer_lost"))
    await marks.pause("key", errors.AUTH_SERVER_UNAVAILABLE, 10)
    assert await marks.read("key") == Dead("answer_lost")


@virtual_time
async def test_a_mark_of_another_version_is_not_there():
    """A rolling deploy: a newer gateway writes what this one does not know."""
    fleet = Fleet(1)
    old = fleet.server.login()
    await fleet.desks[0].store.put("mark", fleet.desks[0].settings.key(old[1]), b'{"later":1}', 60)
    assert isinstance(await fleet.desks[0].ask(old), Renewed)


# Users are kept apart


@virtual_time
async def test_another_users_access_token_gets_nothing_on_any_replica():
    """R1, R7: each waiter is checked against its own access token, wherever it waits."""
    fleet = Fleet(3)
    ada, eve = fleet.server.login("ada"), fleet.server.login("eve")
    fleet.server.script.append(Late(1))
    honest = asyncio.ensure_future(fleet.desks[0].ask(ada))
    await asyncio.sleep(0.1)
    mixed = await asyncio.gather(*(desk.ask((eve[0], ada[1])) for desk in fleet.desks))
    assert mixed == [Mismatched()] * 3
    assert isinstance(await honest, Renewed)
    assert isinstance(await fleet.desks[1].ask(ada), Renewed)
    assert not fleet.server.revoked


@virtual_time
async def test_a_waiter_of_the_right_user_joins_one_of_the_wrong():
    """R1: on the same replica, at any moment of the flight."""
    for delay in range(60):
        fleet = Fleet(2)
        ada, eve = fleet.server.login("ada"), fleet.server.login("eve")
        fleet.server.script.append(Late(0.02))
        tasks = [
            asyncio.ensure_future(fleet.desks[0].ask(ada)),
            asyncio.ensure_future(fleet.desks[1].ask((eve[0], ada[1]))),
        ]
        await asyncio.sleep(delay / 1000)
        right = asyncio.ensure_future(fleet.desks[1].ask(ada))
        found = await asyncio.gather(*tasks, right)
        assert not fleet.server.revoked
        assert [type(f) for f in found] == [Renewed, Mismatched, Renewed], delay
        assert len(fleet.server.presented) == 1


@virtual_time
async def test_two_hundred_users_on_five_replicas_get_their_own():
    """R7: nobody gets another's."""
    fleet = Fleet(5)
    pairs = {user: fleet.server.login(user) for user in map(str, range(200))}
    found = await asyncio.gather(*(desk.ask(pair) for pair in pairs.values() for desk in fleet.desks))
    users = [user for user in pairs for _ in fleet.desks]
    assert [pair_of(f)[0].verified.subject for f in found] == users
    assert len(fleet.server.presented) == 200


@virtual_time
async def test_the_chain_is_followed_across_replicas():
    """CONTRACT §4.3: each refresh on another one, and the oldest pair still leads to the newest."""
    fleet = Fleet(4, unclaimed=100 * HOUR)
    pair = first = fleet.server.login()
    for desk in fleet.desks:
        pair = pair_of(await desk.ask(pair))
        await asyncio.sleep(2 * HOUR)
    found = await ask_all(fleet, first)
    assert len({pair_of(f)[1].reveal() for f in found}) == 1
    assert len(fleet.server.presented) == 5
    assert fleet.server.alive(first[1])


@virtual_time
async def test_flights_that_need_the_same_newest_token_are_one_in_the_fleet():
    """CONTRACT §4.5: an old pair on one replica, the new one on another; both need the newest."""
    fleet = Fleet(2)
    old = fleet.server.login()
    new = pair_of(await fleet.desks[0].ask(old))
    await asyncio.sleep(2 * HOUR)
    fleet.server.script.append(Late(1))
    found = await asyncio.gather(fleet.desks[0].ask(old), fleet.desks[1].ask(new))
    assert pair_of(found[0]) == pair_of(found[1])
    assert fleet.server.presented == [old[1].reveal(), new[1].reveal()]


@virtual_time
async def test_a_stop_gives_up_waiting_for_others_and_lets_its_own_end():
    """CONTRACT §6: a replica that leaves waits for its own flights only, whenever the next look would be."""
    fleet = Fleet(2, poll=60.0, poll_most=60.0)
    old, own = fleet.server.login(), fleet.server.login()
    _, [other] = await a_leader(fleet, old, Late(25))
    fleet.server.script.append(Late(5))
    mine = asyncio.ensure_future(fleet.desks[1].ask(own))
    await ticks()
    await asyncio.sleep(0.1)
    await fleet.desks[1].refresher.close()
    assert isinstance(await other, Failed)
    assert isinstance(await mine, Renewed)
    assert now() < 6
    assert fleet.desks[1].refresher.under_way == 0


@virtual_time
async def test_a_race_that_was_lost_is_found_in_the_store():
    """R12, B10: somebody outside this fleet's leases rotated the token; the store is read again after the denial."""
    fleet = Fleet(2)
    old = fleet.server.login()
    first, _ = await a_leader(fleet, old, Slow(3, Denied()))
    desk = fleet.desks[1]
    grant = fleet.server.process(old[1].reveal())
    stored = Stored(grant.access_token, grant.refresh_token, Obtained(wall(), HOUR))
    keys = [desk.settings.key(refresh) for refresh in (old[1], grant.refresh_token)]
    await desk.refresher._successors.grow(*keys, stored, now=wall())
    assert pair_of(await first)[1] == grant.refresh_token


@virtual_time
async def test_lost_answers_are_known_to_all():
    """R10, B2b: another replica presents next; its denial says what happened."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.server.script.append(Lost())
    assert code(await fleet.desks[0].ask(old)) == "auth_server_unavailable"
    await asyncio.sleep(2)
    assert await fleet.desks[1].ask(old) == Dead("answer_lost")
    assert now() < 3
