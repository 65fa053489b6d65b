"""Everything breaks at random, and nobody notices but those whose answer was lost (issue 5)."""

import pytest

from tests.e2e.support import many_descriptors
from tests.fleet.chaos import Chaos
from tests.fleet.support import fleet, sealed
from tests.redis_servers import redis_server

USERS = 200
LIFETIME = 2
CLOCKS = {"timeout": "3s", "late_answer": "6s"}


async def broken(tmp_path, seconds, *, lease, seed):
    """The run, once it was checked that nothing happened which must not."""
    with redis_server() as redis, many_descriptors():
        auth = {"access_lifetime": LIFETIME, "algorithm": "ES256"}
        sections = {"auth_server": CLOCKS, "access_token": {"algorithms": ["ES256"]}}
        async with fleet(tmp_path, sealed(redis.url), lease=lease, auth=auth, **sections) as made:
            await made.start()
            chaos = Chaos(made, redis, users=USERS, seed=seed)
            await chaos.run(seconds)
            assert not chaos.wrongs()
            assert made.auth.concurrent_presentations == 1
            for replica in made.replicas:
                assert not {"refresh_failed", "errand_failed", "request_failed"} & set(replica.notices())
            return chaos


@pytest.mark.timeout(300)
async def test_twenty_seconds_of_chaos(tmp_path):
    chaos = await broken(tmp_path, 20, lease=1.5, seed=5)
    assert chaos.counts["kills"] >= 2
    assert chaos.counts["pauses"] >= 2
    assert chaos.counts["200"] > USERS
    assert (
        sum(user.logouts for user in chaos.users)
        <= chaos.counts["lost"] + chaos.counts["status"] + chaos.counts["kills"] * USERS
    )


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lease", [None, 1.5])
async def test_ten_minutes_of_chaos(tmp_path, lease):
    """With the lease as shipped, and with one that a loaded machine may lose."""
    chaos = await broken(tmp_path, 300, lease=lease, seed=6)
    assert chaos.counts["kills"] >= 10
