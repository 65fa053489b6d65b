"""A replica is killed while it presents a token: what the others do then (B24, CONTRACT §4.5)."""

import asyncio

from tests.fleet.support import fleet, sealed
from tests.redis_servers import redis_server

LATE = 4.0
CLOCKS = {"timeout": "3s", "late_answer": f"{LATE:g}s"}


async def test_others_wait_for_its_answer_and_present_once(tmp_path):
    """B24: one token was rotated unseen, the other was not; nobody presents either while its answer may still come,
    and the denial says what it is."""
    with redis_server() as redis:
        async with fleet(tmp_path, sealed(redis.url), lease=0.8, auth_server=CLOCKS) as made:
            await made.start()
            leader, *others = made.replicas
            spent, unspent = made.auth.login("ada", -60), made.auth.login("bob", -60)
            asking = []
            for pair, processed in ((spent, True), (unspent, False)):
                fault = made.auth.fault("hold", processed=processed)
                asking.append(asyncio.create_task(leader.ask(pair)))
                await fault.arrived.wait()
            crowd = [made.insist(replica, pair) for pair in (spent, unspent) for replica in others * 20]
            under_way = asyncio.gather(*crowd)
            await leader.kill()
            assert all(
                isinstance(e, EOFError | OSError) for e in await asyncio.gather(*asking, return_exceptions=True)
            )
            answers = await under_way
            lost, granted = answers[:40], answers[40:]
            assert {(answer.status, answer.code, answer.json()["reason"]) for answer in lost} == {
                (401, "refresh_rejected", "answer_lost")
            }
            assert {answer.status for answer in granted} == {200}
            (new,) = {answer.pair(unspent) for answer in granted}
            for pair in (spent, unspent):
                first, second = (
                    r for r in made.auth.token_requests if made.auth.families.find(pair[1]).id == r.refresh_token_id
                )
                assert second.time - first.time > LATE - 0.5  # it is counted from the intent, which comes before
            assert made.auth.concurrent_presentations == 1
            assert made.auth.families.find(new[1]).family.subject == "bob"
            await leader.start()
            assert (await leader.ask(unspent)).pair(unspent) == new
