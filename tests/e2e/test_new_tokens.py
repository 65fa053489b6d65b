"""New tokens on every kind of answer, and what is said about them (CONTRACT §2)."""

import time

import httpx

from tests import lanes
from tests.e2e.support import ageing
from tests.house import house

pytestmark = lanes.BOTH

ROUTES = [{"match": "/hasty/*", "response_timeout": "50ms", "strip_prefix": "/hasty"}]

NEW_TOKENS = {
    "2xx": "/status/201",
    "3xx": "/redirect",
    "4xx": "/status/404",
    "403": "/status/403",
    "5xx": "/status/500",
    "204": "/status/204",
    "the API's own 504": "/status/504",
    "chunked": "/bytes?size=10&chunked=1",
    "cookies": "/cookies",
}


async def test_new_tokens_come_with_every_kind_of_answer_of_the_api(tmp_path):
    """CONTRACT §2: whatever the API says, the client has its tokens."""
    async with house(tmp_path) as h:
        for kind, path in NEW_TOKENS.items():
            for method in ("GET", "POST", "HEAD"):
                pair = h.expired()
                answer = await h.request(method, path, pair)
                assert h.auth.read_access_token(answer.headers["x-access-token"]), kind
                assert answer.headers["x-refresh-token"] != pair[1]
                assert answer.headers["cache-control"] == "no-store"
        assert len(h.auth.token_requests) == 3 * len(NEW_TOKENS)


async def test_new_tokens_come_with_every_refusal_after_them(tmp_path):
    """CONTRACT §2, B12, B13: rotated tokens are never lost with an error of ours; they work afterwards."""
    async with house(tmp_path, routes=ROUTES, server={"max_body": "50B"}) as h:

        async def too_large() -> tuple[int, httpx.Headers]:
            async def chunks():
                yield b"x" * 100

            answer = await h.request("POST", "/upload", pair, content=chunks())
            return answer.status_code, answer.headers

        async def hasty() -> tuple[int, httpx.Headers]:
            answer = await h.get("/hasty/slow", pair)
            return answer.status_code, answer.headers

        async def gone() -> tuple[int, httpx.Headers]:
            await h.api_server.stop()
            answer = await h.get("/echo", pair)
            await h.api_server.start()
            return answer.status_code, answer.headers

        for expected, cause in ((413, too_large), (504, hasty), (502, gone)):
            pair = h.expired()
            status, headers = await cause()
            assert status == expected
            assert headers["x-token-refreshed"] == "expired"
            assert headers.get_list("cache-control") == ["no-store"]
            again = await h.get("/echo", (headers["x-access-token"], headers["x-refresh-token"]))
            assert again.status_code == 200


async def test_what_the_client_is_told_of_its_new_tokens(tmp_path):
    """CONTRACT §2: expiry in milliseconds, why, and the refresh token only when it changed."""
    async with house(tmp_path, auth={"rotation": False}) as h:
        pair = h.expired()
        answer = await h.get("/echo", pair)
        claims = h.auth.read_access_token(answer.headers["x-access-token"])
        assert answer.headers["x-access-token-expires-at"] == str(int(claims["exp"] * 1000))
        assert int(answer.headers["x-access-token-expires-at"]) / 1000 > time.time() + 3000
        assert answer.headers["x-token-refreshed"] == "expired"
        assert "x-refresh-token" not in answer.headers


async def test_why_there_are_new_tokens(tmp_path):
    """CONTRACT §2: joined before rejected before expired before ahead."""
    async with house(tmp_path) as h:
        why = {}
        pair = h.expired()
        why["expired"] = await h.get("/echo", pair)
        why["joined"] = await h.get("/echo", pair)
        why["ahead"] = await h.get("/echo", ageing(h))
        why["hard"] = await h.get("/echo", ageing(h, left=3))
        rejected = h.login()
        why["rejected"] = await h.get("/deny-once?key=a", rejected)
        why["rejected, joined"] = await h.get("/deny-once?key=b", rejected)
        told = {name: answer.headers["x-token-refreshed"] for name, answer in why.items()}
        assert told == {
            "expired": "expired",
            "joined": "joined",
            "ahead": "ahead",
            "hard": "ahead",
            "rejected": "rejected",
            "rejected, joined": "joined",
        }
