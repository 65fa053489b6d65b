"""Three gateways, one Redis, one pair: one token request, whatever happens meanwhile (R7, R8, R9, R11, B3, B19)."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from tests.e2e.support import many_descriptors
from tests.fleet.support import fleet, is_one_refresh, sealed, until
from tests.redis_fleets import sentinels
from tests.redis_servers import redis_server
from tests.store.support import dump

pytestmark = pytest.mark.asyncio(loop_scope="module")

EACH = 300
PATIENT = {"timeout": "25s", "late_answer": "25s"}


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory, redis):
    """With the lease as shipped."""
    with many_descriptors():
        async with fleet(tmp_path_factory.mktemp("fleet"), sealed(redis.url), auth_server=PATIENT) as made:
            yield await made.start()


@pytest.fixture
def made(three):
    three.forget()
    return three


@asynccontextmanager
async def crowded(made):
    """The requests of all are under way, and the one token request, which waits for its release."""
    old = made.auth.login("ada", -60)
    fault = made.auth.fault("hold")
    crowd = asyncio.create_task(made.crowd(old, EACH))
    async with asyncio.timeout(60):
        await fault.arrived.wait()
    yield old, fault, crowd


async def test_three_replicas_with_three_hundred_requests_each(made):
    """R7, R11: and whoever comes later, at any of them, joins in."""
    old = made.auth.login("ada", -60)
    new = is_one_refresh(made, await made.crowd(old, EACH), old, "ada")
    for replica in made.replicas:
        assert (await replica.ask(old)).pair(old) == new
        assert (await replica.ask(new)).status == 200
    assert len(made.auth.token_requests) == 1


async def test_the_leaders_client_hangs_up(made):
    """R9: the refresh goes on, and its fruit is everybody's, that client's own retry included."""
    old = made.auth.login("bob", -60)
    fault = made.auth.fault("hold")
    asking = asyncio.create_task(made.replicas[0].ask(old))
    await fault.arrived.wait()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    crowd = asyncio.create_task(made.crowd(old, 5))
    fault.release()
    is_one_refresh(made, await crowd, old, "bob")


async def test_a_redis_that_stands_still_for_two_seconds(made, redis):
    """B19: whoever waits bears it; whoever is told 503 has kept its tokens."""
    async with crowded(made) as (old, fault, crowd):
        redis.pause()
        await asyncio.sleep(2)
        fault.release()
        redis.resume()
        is_one_refresh(made, await crowd, old, "ada")


async def test_a_redis_that_is_restarted_empty(made, redis):
    """The lease and the intent are gone: the leader takes its lease again before anybody else gets it."""
    async with crowded(made) as (old, fault, crowd):
        redis.restart()
        await until(lambda: redis.ask("KEYS", "*:lease"))
        fault.release()
        is_one_refresh(made, await crowd, old, "ada")


async def test_nothing_of_a_token_is_in_the_store_or_a_log(made, redis):
    """X10, X9: sealed values under names that are HMACs; no key of the store's, either."""
    old = made.auth.login("canary-carl", -60)
    new = is_one_refresh(made, await made.crowd(old, 2), old, "canary-carl")
    written = dump(redis) + b"".join(replica.log.read_bytes() for replica in made.replicas)
    assert b"evergreen:{" in written
    config = made.replicas[0].config.read_text()
    keys = [line.split('"')[1] for line in config.splitlines() if line.startswith(("keys", "index_key"))]
    for secret in (*old, *new, old[0].split(".")[2], "canary-carl", "gateway-secret", *keys):
        assert secret.encode() not in written


async def test_an_authorization_server_slower_than_five_leases(tmp_path, redis):
    """R8, B3: the lease is renewed for as long as an answer may come."""
    async with fleet(tmp_path, sealed(redis.url), lease=0.8, auth_server=PATIENT) as made:
        await made.start()
        old = made.auth.login("ada", -60)
        made.auth.fault("slow", delay=4.0)
        is_one_refresh(made, await made.crowd(old, 20), old, "ada")


async def test_a_failover_by_sentinels(tmp_path):
    """The replica that is promoted may lack what was written last."""
    with many_descriptors(), sentinels() as guarded:
        async with fleet(tmp_path, sealed(guarded.url), auth_server=PATIENT) as made:
            await made.start()
            async with crowded(made) as (old, fault, crowd):
                successor = guarded.fail_over()
                await until(lambda: successor.ask("KEYS", "*:lease"))
                fault.release()
                is_one_refresh(made, await crowd, old, "ada")
