"""What requests cost the store: counted on Redis."""

import asyncio

import pytest

from tests.fleet.support import fleet, sealed, until
from tests.redis_servers import redis_server


@pytest.fixture
def redis():
    with redis_server() as server:
        yield server


class Watched:
    """The commands that gateways send, scripts as one each."""

    def __init__(self, redis):
        self._redis = redis
        self._client = redis.client()

    def __enter__(self):
        self._monitor = self._client.monitor().__enter__()
        return self

    def __exit__(self, *_):
        self._monitor.__exit__(None, None, None)
        self._client.close()

    def since(self):
        """Names of the commands since the last call."""
        self._redis.ask("ECHO", "so far")
        seen = []
        while True:
            command = self._monitor.next_command()
            if "so far" in command["command"]:
                return seen
            if command["client_type"] != "lua":
                seen.append(command["command"].partition(" ")[0])


async def test_fresh_tokens_cost_nothing_and_a_first_sight_one_command(tmp_path, redis):
    """Issue 5: beside the request, not before it. The same for a pair that the gateway itself has granted."""
    async with fleet(tmp_path, sealed(redis.url), count=2) as made:
        await made.start()
        one, other = made.replicas
        warm = made.auth.login("warm", -60)
        assert (await made.insist(one, warm)).status == 200
        assert (await made.insist(other, warm)).status == 200
        with Watched(redis) as watched:
            watched.since()
            pair = made.auth.login("ada")
            await one.ask(pair)
            seen = []
            await until(lambda: seen.extend(watched.since()) or seen)
            assert seen == ["EVALSHA"]
            answers = await asyncio.gather(*(one.ask(pair) for _ in range(100)))
            answers += await asyncio.gather(*(one.ask((pair[0], None)) for _ in range(100)))
            assert {answer.status for answer in answers} == {200}
            assert watched.since() == []
            new = (await one.ask(made.auth.login("bob", -60))).pair(pair)
            watched.since()
            await one.ask(new)
            await until(lambda: seen.extend(watched.since()) or len(seen) > 1)
            assert seen == ["EVALSHA"] * 2
            await one.ask(new)
            assert watched.since() == []


async def test_a_first_sight_waits_for_no_answer(tmp_path, redis):
    """The claim is beside the request: with Redis stopped the answer comes all the same."""
    async with fleet(tmp_path, sealed(redis.url), count=1) as made:
        (one,) = (await made.start()).replicas
        redis.pause()
        assert (await one.ask(made.auth.login("ada"))).status == 200
        assert one.notices() == []
        redis.resume()
