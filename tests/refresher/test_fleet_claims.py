"""What the store is told of tokens that are seen (CONTRACT §4.3)."""

import asyncio

from gateway.core.outcomes import Dead
from gateway.core.secret import Secret
from tests.refresher.fleet import Fleet
from tests.refresher.support import pair_of
from tests.virtual_time import virtual_time


@virtual_time
async def test_first_sight_costs_one_command_and_a_second_one_none():
    """Issue 5: at most one, beside the request."""
    fleet = Fleet(2)
    new = pair_of(await fleet.desks[0].ask(fleet.server.login()))
    fleet.store.commands.clear()
    for _ in range(3):
        for desk in fleet.desks:
            desk.refresher.observe(new[1])
            await asyncio.sleep(1)
    assert [operation for _, operation, _ in fleet.store.commands] == ["claim", "claim"]


@virtual_time
async def test_a_claim_that_the_store_did_not_take_is_made_again_without_a_storm():
    """B18: by the next request; and while the store is away, a few are enough to know it."""
    fleet = Fleet(1)
    desk = fleet.desks[0]
    old = fleet.server.login()
    new = pair_of(await desk.ask(old))
    fleet.store.away = True
    before = desk.store.count
    for n in range(1000):
        desk.refresher.observe(new[1])
        desk.refresher.observe(Secret(f"rt {n}"))
        await asyncio.sleep(0.01)
    assert desk.store.count - before < 300
    assert desk.refresher.under_way <= 1000
    fleet.store.away = False
    await asyncio.sleep(1)
    desk.refresher.observe(new[1])
    await asyncio.sleep(31)
    assert await desk.ask(old) == Dead()


@virtual_time
async def test_claims_on_their_way_are_bounded():
    """D6: a store that hangs, and a flood of tokens."""
    fleet = Fleet(1)
    desk = fleet.desks[0]
    fleet.store.away = True
    for n in range(5000):
        desk.refresher.observe(Secret(f"rt {n}"))
    assert desk.refresher.under_way == 1000
    await asyncio.sleep(1)
    assert desk.refresher.under_way == 0
    assert len(desk.refresher._seen) == 0
