"""The main job, end to end, over real sockets."""

import asyncio

from tests.house import house, new_pair


async def test_an_expired_token_is_refreshed_in_flight(tmp_path):
    """CONTRACT §1: the original result, with new tokens beside it."""
    async with house(tmp_path) as h:
        old = h.expired()
        answer = await h.get("/echo?x=1", old)
        assert answer.status_code == 200
        assert answer.json()["target"] == "/echo?x=1"
        assert answer.headers["x-token-refreshed"] == "expired"
        assert answer.headers["cache-control"] == "no-store"
        new = new_pair(answer, old)
        assert new[0] != old[0]
        assert new[1] != old[1]
        sent = [value for name, value in answer.json()["headers"] if name == "authorization"]
        assert sent == [f"Bearer {new[0]}"]
        again = await h.get("/echo", new)
        assert again.status_code == 200
        assert "x-access-token" not in again.headers
        assert len(h.auth.token_requests) == 1


async def test_a_thousand_requests_on_one_expired_pair_make_one_token_request(tmp_path):
    """R7: exactly one token request, one successor for all, and the family lives on."""
    async with house(tmp_path, upstream={"max_waiting": 2000}) as h:
        old = h.expired()
        answers = await asyncio.gather(*(h.get("/echo", old) for _ in range(1000)))
        assert {a.status_code for a in answers} == {200}
        assert len({new_pair(a, old) for a in answers}) == 1
        assert len(h.auth.token_requests) == 1
        assert h.auth.family_alive(new_pair(answers[0], old)[1])


async def test_a_token_that_the_api_refuses_is_refreshed_and_the_request_replayed(tmp_path):
    """R18: the API's own 401, one refresh, one replay, the original body."""
    async with house(tmp_path) as h:
        old = h.login()
        answer = await h.request("POST", "/deny-once?key=a", old, content=b"the body")
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "rejected"
        assert len(h.auth.token_requests) == 1
        assert h.api.count == 2
