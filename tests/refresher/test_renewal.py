"""What one flight finds: successors, chains, races (CONTRACT §4.3)."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.families import Family, Stored, dump_family
from gateway.core.grants import Denied
from gateway.core.outcomes import Dead, Renewed
from gateway.core.secret import Secret
from gateway.core.tokens import Obtained
from gateway.events import Noticed
from tests.refresher.support import HOUR, AuthServer, Desk, Slow, pair_of
from tests.virtual_time import ticks, virtual_time, wall


def notices(desk):
    return [event.what for event in desk.whats(Noticed)]


async def day(hours):
    await asyncio.sleep(hours * HOUR)


# Kept until claimed


@virtual_time
async def test_an_unclaimed_successor_waits_for_its_client():
    """R11: an answer was lost on the way; 23 hours later the old pair gets the successor."""
    desk = Desk(AuthServer(lifetime=48 * HOUR), unclaimed=24 * HOUR)
    old = desk.server.login()
    new = pair_of(await desk.request(old))
    await day(23)
    found = await desk.request(old)
    assert pair_of(found) == new
    assert found.joined
    assert desk.server.presented == [old[1].reveal()]


@virtual_time
async def test_after_a_claim_the_old_pair_is_served_for_the_grace_and_then_never():
    """R11: parallel requests are; a thief is not, and the server's theft detection sees him."""
    desk = Desk(AuthServer(), grace=30)
    old = desk.server.login()
    new = pair_of(await desk.request(old))
    await day(1 / 2)
    desk.refresher.observe(new[1])
    await desk.settled()
    await asyncio.sleep(29)
    assert pair_of(await desk.request(old)) == new
    await asyncio.sleep(1)
    assert await desk.request(old) == Dead()
    assert desk.server.presented == [old[1].reveal()] * 2
    assert not desk.server.alive(new[1])


@virtual_time
async def test_fetching_a_successor_again_does_not_claim_it():
    """R11"""
    desk = Desk(AuthServer(), grace=30)
    old = desk.server.login()
    for _ in range(5):
        new = pair_of(await desk.request(old))
        await asyncio.sleep(31)
    assert pair_of(await desk.request(old)) == new
    assert len(desk.server.presented) == 1


@virtual_time
async def test_a_token_is_claimed_once_and_remembered():
    """CONTRACT §4.3: a process asks the store once for a pair that it has not seen before."""
    desk = Desk(AuthServer())
    for _ in range(3):
        desk.refresher.observe(Secret("rt"))
    assert desk.refresher.under_way == 1
    await desk.settled()
    desk.refresher.observe(Secret("rt"))
    assert desk.refresher.under_way == 0


@virtual_time
async def test_without_a_word_for_longer_than_unclaimed_the_old_pair_goes_to_the_server():
    desk = Desk(AuthServer(lifetime=100 * HOUR), unclaimed=24 * HOUR)
    old = desk.server.login()
    await desk.request(old)
    await day(25)
    assert await desk.request(old) == Dead()
    assert len(desk.server.presented) == 2


@virtual_time
async def test_a_client_that_always_sends_its_first_pair_is_served_for_as_long_as_it_comes():
    """R11: a script that cannot read our headers. The chain is followed in one step, whatever its length, and only
    the newest is ever presented.
    """
    desk = Desk(AuthServer(lifetime=HOUR), unclaimed=24 * HOUR)
    first = desk.server.login()
    for _ in range(12):
        assert isinstance(await desk.request(first), Renewed)
        assert isinstance(await desk.request(first), Renewed)
        await day(20)
    assert desk.server.alive(first[1])
    assert len(desk.server.presented) == len(set(desk.server.presented)) == 12


@virtual_time
async def test_long_lived_access_tokens_keep_such_a_client_too():
    """R11: each visit prolongs the wait, also where nothing needs to be refreshed."""
    desk = Desk(AuthServer(lifetime=1000 * HOUR), unclaimed=24 * HOUR)
    first = desk.server.login()
    for _ in range(6):
        assert isinstance(await desk.request(first), Renewed)
        await day(20)
    assert len(desk.server.presented) == 1


@virtual_time
async def test_a_successor_waits_its_whole_time_whatever_the_age_of_the_token_before():
    """R11: its predecessor was granted a day ago, refreshed late, and that answer was lost."""
    desk = Desk(AuthServer(lifetime=HOUR), unclaimed=24 * HOUR)
    old = desk.server.login()
    held = pair_of(await desk.request(old))
    desk.refresher.observe(held[1])
    await day(1 / 2)
    newest = pair_of(await desk.request(held))
    await day(23.9)
    found = pair_of(await desk.request(held))
    assert desk.server.alive(found[1])
    assert newest[1] != held[1]
    assert len(desk.server.presented) == len(set(desk.server.presented))


@virtual_time
async def test_an_expired_newest_token_has_its_own_refresh_token_presented():
    """CONTRACT §4.3"""
    desk = Desk(AuthServer(lifetime=HOUR))
    old = desk.server.login()
    new = pair_of(await desk.request(old))
    await day(2)
    newest = pair_of(await desk.request(old))
    assert desk.server.presented == [old[1].reveal(), new[1].reveal()]
    assert pair_of(await desk.request(new)) == newest


@pytest.mark.parametrize(("left", "presentations"), [(61, 1), (30, 1), (4, 2), (0, 2)])
@virtual_time
async def test_the_newest_token_is_handed_out_unless_it_might_expire_on_the_way(left, presentations):
    """CONTRACT §3: inside ``ahead`` it will do; inside ``hard`` it will not."""
    desk = Desk(AuthServer(lifetime=HOUR))
    old = desk.server.login()
    await desk.request(old)
    await asyncio.sleep(HOUR - left)
    assert isinstance(await desk.request(old), Renewed)
    assert len(desk.server.presented) == presentations


@virtual_time
async def test_a_newest_token_whose_key_has_gone_is_exchanged():
    """R22: it would be refused wherever it was presented."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    new = pair_of(await desk.request(old))
    await asyncio.sleep(31)
    desk.server.verdict = replace(new[0], verified=replace(new[0].verified, key_retired=True))
    await desk.request(old)
    assert desk.server.presented == [old[1].reveal(), new[1].reveal()]


# Servers that do not rotate


@virtual_time
async def test_a_server_that_keeps_the_refresh_token_is_asked_once_for_each_access_token():
    """R11: "none returned: the old one is kept"."""
    desk = Desk(AuthServer(rotates=False, lifetime=HOUR))
    old = desk.server.login()
    for n in range(1, 6):
        for _ in range(3):
            assert pair_of(await desk.request(old))[1] == old[1]
        assert len(desk.server.presented) == n
        await day(1)


@virtual_time
async def test_a_server_may_begin_to_rotate():
    desk = Desk(AuthServer(rotates=False, lifetime=HOUR))
    old = desk.server.login()
    await desk.request(old)
    await day(1)
    desk.server.rotates = True
    new = pair_of(await desk.request(old))
    assert new[1] != old[1]
    assert pair_of(await desk.request(old)) == new
    await day(1)
    assert isinstance(await desk.request(new), Renewed)
    assert desk.server.alive(old[1])


# Others who act at the same time


@virtual_time
async def test_who_lost_a_race_finds_the_winners_successor():
    """R12, B10: another node won; the cache is read again, and the request succeeds."""
    server = AuthServer(nodes=2)
    winner = Desk(server)
    loser = Desk(server, store=winner.store)
    server.script.append(Slow(5, Denied()))
    old = server.login()
    late = asyncio.create_task(loser.ask(old))
    await ticks()
    new = pair_of(await winner.ask(old))
    found = await late
    assert pair_of(found) == new
    assert found.joined
    assert pair_of(await loser.ask(old)) == new


@virtual_time
async def test_who_lost_a_race_goes_on_with_the_winners_refresh_token():
    """R12, B10: the winner's access token has expired by the time of the denial."""
    server = AuthServer(nodes=2)
    winner = Desk(server)
    loser = Desk(server, store=winner.store)
    server.script.append(Slow(5, Denied()))
    old = server.login()
    late = asyncio.create_task(loser.ask(old))
    await ticks()
    server.facts = {"expires_at": wall() + 4}
    new = pair_of(await winner.ask(old))
    server.facts = {}
    assert pair_of(await late)[1] != new[1]
    assert server.presented == [old[1].reveal(), old[1].reveal(), new[1].reveal()]


@virtual_time
async def test_two_nodes_with_one_store_see_each_others_successors():
    server = AuthServer()
    first = Desk(server)
    second = Desk(server, store=first.store)
    old = server.login()
    new = pair_of(await first.request(old))
    assert pair_of(await second.request(old)) == new
    await day(2)
    newest = pair_of(await second.request(new))
    assert pair_of(await first.request(new)) == newest
    assert server.alive(old[1])


@virtual_time
async def test_a_dead_newest_token_ends_the_old_pairs_life_too():
    """R12"""
    desk = Desk(AuthServer(lifetime=HOUR))
    old = desk.server.login()
    new = pair_of(await desk.request(old))
    desk.server.logins[old[1].reveal()].revoked = True
    await day(2)
    assert await desk.request(old) == await desk.request(new) == Dead()
    assert desk.server.presented == [old[1].reveal(), new[1].reveal()]


@virtual_time
async def test_two_families_that_name_each_others_tokens_keep_no_flight_waiting_for_itself():
    """A flight goes round once at most; then it presents what it holds. (A server that hands out refresh tokens
    again, and an old record that survived.)
    """
    desk = Desk(AuthServer())
    (access, one), (_, two) = desk.server.login(), desk.server.login()
    keys = [desk.settings.key(refresh) for refresh in (one, two)]
    for key, family, newest in [(keys[0], "f1", two), (keys[1], "f2", one)]:
        stored = Stored(access.raw, newest, Obtained(wall() - HOUR, HOUR))
        await desk.store.put_family(family, dump_family(Family(stored, 1)), HOUR, expected=None)
        await desk.store.enrol(key, family, 0, HOUR)
    assert isinstance(await desk.ask((access, one)), Renewed)
    assert desk.server.presented == [two.reveal()]


@pytest.mark.parametrize("jump", [-300, 300])
@virtual_time
async def test_the_wall_clock_may_jump(jump):
    """B25: nothing is refreshed twice for it, and nothing that waits is lost."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    new = pair_of(await desk.request(old))
    desk.skew = jump
    assert pair_of(await desk.request(old)) == new
    assert isinstance(await desk.request(new), Renewed)
    assert desk.server.alive(old[1])
