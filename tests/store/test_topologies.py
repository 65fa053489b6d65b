"""TLS, Unix sockets, Sentinels and clusters: the same store, wherever its records are."""

import asyncio
import ssl

import pytest
import trustme

from gateway.core.records import Acquired, Busy, StoreUnavailable
from gateway.core.secret import Secret
from gateway.events import Noticed
from gateway.store.cluster import Cluster
from gateway.store.opening import open_store
from gateway.store.redis import RedisEngine
from gateway.store.sentinels import Sentinels
from gateway.store.settings import Access, SharedSettings
from tests.redis_fleets import cluster, sentinels
from tests.redis_servers import free_port, redis_server, redis_with_tls
from tests.store.support import FAMILY, KEY, NEW, OLD, Told, direct, eventually, opened

KEYS = [f"{n:064x}" for n in range(40)]
PASSWORD = "canary-password"


async def lives(store, key=KEY):
    """A whole flight's worth of operations."""
    assert await store.put_family(key, b"v", 60, expected=None)
    await store.enrol(key, key, 1, 60)
    await store.claim(key, 5.0)
    found = await store.family(key)
    assert (found.name, found.number, found.value) == (key, 1, b"v")
    assert [(number, at <= found.time + 0.001) for number, at in found.claims] == [(1, True)]
    assert await store.acquire(key, "me", 60) == Acquired()
    assert await store.acquire(key, "you", 60) == Busy()
    assert await store.intend(key, "me", 60)
    await store.resolve(key, "me", lost=False)
    await store.release(key, "me")
    assert await store.acquire(key, "you", 60) == Acquired()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and what it has issued for 127.0.0.1."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    return folder


async def test_tls(certificates):
    with redis_with_tls(*(certificates / f"{name}.pem" for name in ("chain", "key", "ca"))) as redis:
        tls = ssl.create_default_context(cafile=certificates / "ca.pem")
        async with opened(direct(redis, tls=tls)) as store:
            await lives(store)
            async with store.news(KEY) as event, asyncio.timeout(30):
                await event.wait()
        async with opened(direct(redis, tls=ssl.create_default_context())) as stranger:
            with pytest.raises(StoreUnavailable):
                await stranger.get("denied", KEY)


async def test_a_server_that_wants_a_certificate_of_ours(certificates):
    files = [certificates / f"{name}.pem" for name in ("chain", "key", "ca")]
    with redis_with_tls(*files, tls_auth_clients="yes") as redis:
        tls = ssl.create_default_context(cafile=certificates / "ca.pem")
        async with opened(direct(redis, tls=tls)) as store:
            with pytest.raises(StoreUnavailable):
                await store.get("denied", KEY)
            tls.load_cert_chain(certificates / "chain.pem", certificates / "key.pem")
            await lives(store)


async def test_a_port_and_a_numbered_database():
    with redis_server(tcp=True) as redis:
        async with opened(direct(redis, database=3)) as store:
            await lives(store)
        assert redis.ask("DBSIZE") == 0
        assert redis.ask("INFO", "keyspace").keys() == {"db3"}


def guarded(fleet, *, addresses=None, **access):
    found = [sentinel.address for sentinel in fleet.sentinels] if addresses is None else addresses
    return RedisEngine(Sentinels(found, fleet.service, Access(**access), Access()), timeout=5.0)


async def test_a_failover_by_sentinels():
    """B18: the new master is found without a restart of ours; its leases settle first (R8)."""
    with sentinels() as fleet:
        hung = fleet.sentinels[0]
        async with opened(guarded(fleet)) as store, store.news(KEY) as event:
            await lives(store)
            fleet.master().ask("WAIT", 1, 10_000)
            fleet.fail_over()
            hung.pause()
            event.clear()
            found = await eventually(lambda: family(store))
            assert [number for number, _ in found.claims] == [1]
            async with asyncio.timeout(30):
                await event.wait()
            store._settling = 3600.0
            assert (await store.acquire(FAMILY, "me", 60)).wait > 0
            assert await store.renew(KEY, "you", 60)
            assert await store.acquire(KEY, "you", 60) == Acquired()


async def family(store):
    try:
        return await store.family(KEY)
    except StoreUnavailable:
        return None


async def test_a_sentinel_that_is_out_of_date_misleads_nobody():
    """It names a replica: each new connection is asked for its role."""
    with sentinels(1) as fleet:
        engine = guarded(fleet)
        replica = next(server for server in fleet.servers if server is not fleet.master())
        async with opened(engine) as store:
            await engine._topology._go_to(replica.address)
            with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
                await store.get("denied", KEY)
            await lives(store)


async def test_sentinels_that_all_hang_do_not_keep_us_from_a_master_that_answers():
    """B18: after one hiccup of the master it is asked again, whatever can be found out about it."""
    with sentinels() as fleet:
        engine = guarded(fleet)
        async with opened(engine) as store:
            await store.put("denied", KEY, b"", 60)
            for sentinel in fleet.sentinels:
                sentinel.pause()
            for _ in range(3):
                engine._topology.doubt()
                assert (await store.get("denied", KEY)).value == b""


async def test_sentinels_that_are_all_away():
    with sentinels(1) as fleet:
        fleet.sentinels[0].stop()
        async with opened(guarded(fleet)) as store:
            with pytest.raises(StoreUnavailable, match="no Sentinel names a master"):
                await store.get("denied", KEY)
            fleet.sentinels[0].start()
            await eventually(lambda: answering(store))


async def answering(store):
    try:
        await store.get("denied", KEY)
    except StoreUnavailable:
        return False
    return True


async def test_a_cluster():
    """A token's records are in one slot, its family in another; slots are at three masters."""
    with cluster() as fleet:
        engine = RedisEngine(Cluster([fleet.servers[2].address], Access()), timeout=5.0)
        async with opened(engine) as store:
            for key in KEYS:
                await lives(store, key)
            await store.put_family(FAMILY, b"far", 60, expected=None)
            for number, key in enumerate(KEYS):
                await store.enrol(key, FAMILY, number, 60)
                await store.claim(key, float(number))
                assert (await store.family(key)).value == b"far"
            assert len((await store.family(KEYS[0])).claims) == len(KEYS) - 1
            async with store.news(KEYS[7]) as event, asyncio.timeout(30):
                await event.wait()
                event.clear()
                await store.release(KEYS[7], "you")
                await event.wait()
        held = [server.ask("DBSIZE") for server in fleet.servers]
        assert all(held)
        assert min(server.commands().get("evalsha", 0) for server in fleet.servers) > 0


async def test_a_slot_that_has_moved_is_followed():
    """MOVED is no failure: the server that says it has done nothing."""
    with cluster() as fleet:
        topology = Cluster([server.address for server in fleet.servers], Access())
        async with opened(RedisEngine(topology, timeout=5.0), told=(told := Told())) as store:
            await store.delete("denied", KEY)
            slot = int(fleet.servers[0].ask("CLUSTER", "KEYSLOT", f"{{{KEY}}}"))
            former = topology._slots[slot]
            receiver = next(server for server in fleet.servers if server.address != former)
            fleet.move(slot, receiver)
            await lives(store)
            assert topology._slots[slot] == receiver.address
        assert told == []


async def test_a_slot_that_is_on_the_move_is_asked_for_where_it_goes():
    """ASK: a record that has gone over already, or is new, is at the receiver."""
    with cluster() as fleet:
        topology = Cluster([server.address for server in fleet.servers], Access())
        async with opened(RedisEngine(topology, timeout=5.0)) as store:
            await store.delete("denied", KEY)
            slot = int(fleet.servers[0].ask("CLUSTER", "KEYSLOT", f"{{{KEY}}}"))
            giver = next(server for server in fleet.servers if server.address == topology._slots[slot])
            receiver = next(server for server in fleet.servers if server is not giver)
            receiver.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", giver.ask("CLUSTER", "MYID").decode())
            giver.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", receiver.ask("CLUSTER", "MYID").decode())
            assert await store.put("denied", KEY, b"new", 60)
            assert (await store.get("denied", KEY)).value == b"new"
            assert topology._slots[slot] == giver.address
        assert receiver.ask("DBSIZE") == 1


async def test_a_master_of_a_cluster_that_hangs_costs_its_slots_only():
    """B19"""
    with cluster() as fleet:
        topology = Cluster([server.address for server in fleet.servers], Access())
        async with opened(RedisEngine(topology, timeout=0.25)) as store:
            await eventually(lambda: answering(store))
            slots = {key: int(fleet.servers[0].ask("CLUSTER", "KEYSLOT", f"{{{key}}}")) for key in KEYS}
            hung = next(server for server in fleet.servers if server.address == topology._slots[slots[KEYS[0]]])
            others = [key for key in KEYS if topology._slots[slots[key]] != hung.address]
            hung.pause()
            with pytest.raises(StoreUnavailable, match="timeout"):
                await store.get("denied", KEYS[0])
            store._engine._timeout = 5.0
            assert await store.put("denied", others[0], b"", 60)
            hung.resume()
            assert await store.put("denied", KEYS[0], b"", 60)


@pytest.mark.parametrize("on_failure", ["refuse", "local"])
async def test_a_store_is_opened_as_it_is_configured(on_failure):
    """Nothing is connected, or shown, before it is asked for something."""
    with redis_server(tcp=True, requirepass=PASSWORD) as redis:
        settings = SharedSettings(
            kind="server",
            addresses=[redis.address],
            password=Secret(PASSWORD),
            keys=[NEW],
            index_key=OLD,
            settling=0.0,
            on_failure=on_failure,
        )
        store = open_store(settings, (told := Told()))
        assert store.shared
        await lives(store)
        await store.close()
        assert told == []
        assert PASSWORD not in repr(settings)
        assert "nnnn" not in repr(settings)


@pytest.mark.parametrize(("kind", "service"), [("server", ""), ("sentinel", "fleet"), ("cluster", "")])
async def test_a_store_of_any_kind_that_is_not_there_says_so(kind, service):
    """B18"""
    nowhere = [("127.0.0.1", free_port())]
    settings = SharedSettings(
        kind=kind, addresses=nowhere, service=service, keys=[NEW], index_key=OLD, settling=0.0
    )
    store = open_store(settings, (told := Told()))
    async with store.news(KEY):
        with pytest.raises(StoreUnavailable):
            await store.get("denied", KEY)
    await store.close()
    assert [(event.what, event.alarm) for event in told if isinstance(event, Noticed)] == [
        ("store_unavailable", True)
    ]
