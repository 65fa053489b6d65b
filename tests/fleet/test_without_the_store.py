"""The store is away, hangs, is full, refuses, or holds what nobody can read (B18-B21), with real gateways."""

import asyncio
import base64

import pytest
import pytest_asyncio

from tests.fleet.support import fleet, key, sealed, until
from tests.redis_servers import redis_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = {"timeout": "10s", "late_answer": "10s"}


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory, redis):
    """Two that refuse, and one that goes on alone. Redis is not there yet (B18)."""
    redis.stop()
    store = sealed(redis.url)
    stores = (store, store, {**store, "on_failure": "local"})
    async with fleet(tmp_path_factory.mktemp("fleet"), *stores, auth_server=SECONDS) as made:
        await made.start()
        yield made


@pytest.fixture
def made(started):
    started.forget()
    return started


@pytest.fixture
def first(made):
    return made.replicas[0]


async def available(made, redis):
    """The server is there, as it was at first, and gives out leases."""
    if redis.process is None:
        redis.start()
    pair = made.auth.login("somebody", -60)
    assert (await made.insist(made.replicas[0], pair)).status == 200
    made.forget()


async def test_away_at_the_start_and_again_later(made, first, redis):
    """B18: valid tokens pass, the others keep their credentials, and nobody restarts anything."""
    fresh, expired = made.auth.login("ada"), made.auth.login("ada", -60)
    if redis.process is not None:
        redis.stop()
    for _ in range(2):
        assert (await first.ask(fresh)).status == 200
        refused = await first.ask(expired)
        assert (refused.status, refused.code) == (503, "store_unavailable")
        assert "retry-after" in refused.fields
        assert not made.auth.token_requests
        redis.start()
        granted = await made.insist(first, expired)
        assert granted.status == 200
        assert len(made.auth.token_requests) == 1
        made.forget()
        expired = made.auth.login("ada", -60)
        redis.stop()
    redis.start()
    assert "store_unavailable" in first.notices()
    assert "store_available" in first.notices()


async def test_a_stopped_one_costs_valid_tokens_nothing(made, first, redis):
    """B19: known or seen for the first time, they are answered while Redis stands still."""
    await available(made, redis)
    known = made.auth.login("ada")
    await first.ask(known)
    redis.pause()
    pairs = [known, *(made.auth.login(f"user-{number}") for number in range(20))]
    answers = await asyncio.gather(*(first.ask(pair) for pair in pairs * 10))
    assert {answer.status for answer in answers} == {200}
    refused = await first.ask(made.auth.login("ada", -60))
    assert (refused.status, refused.code) == (503, "store_unavailable")
    redis.resume()


@pytest.mark.parametrize("how", ["full", "read-only"])
async def test_new_tokens_that_it_does_not_take_reach_their_client(made, first, redis, how):
    """B20: and it is given them as soon as it takes them; until then no other replica presents the old token."""
    await available(made, redis)
    other = made.replicas[1]
    old = made.auth.login("ada", -60)
    fault = made.auth.fault("hold")
    asking = asyncio.create_task(first.ask(old))
    await fault.arrived.wait()
    if how == "full":
        redis.ask("CONFIG", "SET", "maxmemory", "1")
    else:
        redis.ask("REPLICAOF", "127.0.0.1", "1")
    told, stored = len(first.told()), first.notices().count("new_tokens_stored")
    fault.release()
    answer = await asking
    assert answer.status == 200
    new = answer.pair(old)
    assert new[1] != old[1]
    assert {"store", "notice"} <= {line["event"] for line in first.told()[told:]}
    assert (await first.ask(old)).pair(old) == new
    assert (await other.ask(old)).code in {"store_unavailable", "auth_server_unavailable"}
    if how == "full":
        redis.ask("CONFIG", "SET", "maxmemory", "0")
    else:
        redis.ask("REPLICAOF", "NO", "ONE")
    await until(lambda: first.notices().count("new_tokens_stored") > stored)
    assert (await made.insist(other, old)).pair(old) == new
    assert len(made.auth.token_requests) == 1


async def test_a_record_that_nobody_can_open_is_dropped(made, first, redis):
    """B21: the old pair goes to the authorization server, which denies it."""
    await available(made, redis)
    old = made.auth.login("ada", -60)
    assert (await first.ask(old)).status == 200
    for name in redis.ask("KEYS", "*:family"):
        redis.ask("HSET", name, "v", base64.b64encode(b"rubbish"))
    answer = await made.replicas[1].ask(old)
    assert (answer.status, answer.code) == (401, "refresh_rejected")
    assert "store_record_dropped" in made.replicas[1].notices()
    assert len(made.auth.token_requests) == 2


async def test_one_that_goes_on_alone(made, redis):
    """``on_failure = "local"``: refreshes of its own, said once; back to the shared store without a restart."""
    alone = made.replicas[2]
    await available(made, redis)
    redis.stop()
    told = alone.notices().count("store_unavailable")
    olds = [made.auth.login("ada", -60) for _ in range(3)]
    answers = [await alone.ask(old) for old in olds]
    assert {answer.status for answer in answers} == {200}
    assert alone.notices().count("store_unavailable") == told + 1
    assert (await made.replicas[0].ask(made.auth.login("ada", -60))).code == "store_unavailable"
    redis.start()
    for old, answer in zip(olds, answers, strict=True):
        assert (await alone.ask(old)).pair(old) == answer.pair(old)
    assert len(made.auth.token_requests) == 3
    while not redis.ask("KEYS", "*:family"):
        await alone.ask(made.auth.login("bob", -60))


async def test_sealing_keys_rotate_without_splitting_a_flight(tmp_path, redis):
    """CONTRACT §6: the new key goes to the end everywhere before it goes to the front; ``index_key`` stays."""
    store = sealed(redis.url)
    keys = store["keys"]
    new = key()
    deployments = ({**store, "keys": [*keys, new]}, {**store, "keys": [new, *keys]})
    if redis.process is None:
        redis.start()
    async with fleet(tmp_path, *deployments, count=2, auth_server=SECONDS) as made:
        await made.start()
        old = made.auth.login("ada", -60)
        answers = await made.crowd(old, 10)
        assert {answer.status for answer in answers} == {200}
        assert len({answer.pair(old) for answer in answers}) == 1
        assert len(made.auth.token_requests) == 1
        for replica in made.replicas:
            assert "store_record_dropped" not in replica.notices()
