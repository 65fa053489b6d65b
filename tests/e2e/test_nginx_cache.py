"""Behind a real shared cache that stores everything it may, nobody gets another's tokens."""

import tempfile
from pathlib import Path

import httpx
import pytest

from tests import lanes
from tests.e2e.nginx import caching
from tests.e2e.support import TOKEN_FIELDS, code, is_keyless
from tests.e2e.wire import Script, ok
from tests.house import bearer, house

pytestmark = lanes.BOTH

STORE_ME = ["Cache-Control: public, max-age=600, s-maxage=600", "X-Accel-Expires: 600", 'ETag: "v1"']


@pytest.fixture
def home():
    """A Unix socket's path has at most 107 bytes: no place for a test's name."""
    with tempfile.TemporaryDirectory(prefix="nginx-") as found:
        yield Path(found)


async def get(client: httpx.AsyncClient, path: str, pair: tuple[str, str | None] | None) -> httpx.Response:
    return await client.get(path, headers=bearer(pair))


async def test_nobody_receives_anothers_tokens_from_a_cache(tmp_path, home):
    """X2: what carries tokens is not stored; the same cache stores the same answer without them."""
    async with (
        Script.saying(ok(*STORE_ME)) as script,
        house(tmp_path, upstream={"url": script.url}) as h,
        caching(h.url, home) as front,
    ):
        plain = await get(front, "/plain", h.login("ada"))
        stored = await get(front, "/plain", h.login("bob"))
        assert (plain.headers["x-cache"], stored.headers["x-cache"]) == ("MISS", "HIT")

        hers = await get(front, "/secret", h.expired("ada"))
        assert hers.headers["x-token-refreshed"] == "expired"
        his = await get(front, "/secret", h.login("bob"))
        assert his.status_code == 200
        assert his.headers["x-cache"] == "MISS"
        assert is_keyless(his)
        his_own = await get(front, "/mine", h.expired("bob"))
        for name in TOKEN_FIELDS - {"x-token-refreshed", "x-access-token-expires-at"}:
            assert his_own.headers[name] != hers.headers[name]


async def test_no_refusal_of_ours_is_served_to_another(tmp_path, home):
    """X2: one user's 401, and one user's tokens on a 502, stay theirs."""
    async with house(tmp_path) as h, caching(h.url, home) as front:
        assert code(await get(front, "/echo?a", None)) == "missing_token"
        assert (await get(front, "/echo?a", h.login())).status_code == 200
        pair, other = h.expired("ada"), h.login("bob")
        await h.api_server.stop()
        lost = await get(front, "/echo?b", pair)
        assert code(lost) == "upstream_unreachable"
        assert "x-access-token" in lost.headers
        await h.api_server.start()
        answer = await get(front, "/echo?b", other)
        assert answer.status_code == 200
        assert is_keyless(answer)


async def test_a_stored_answer_is_not_brought_up_to_date_by_one_with_tokens(tmp_path, home):
    """X2, X3: the client's own condition goes no further than the cache and the gateway."""
    async with house(tmp_path) as h, caching(h.url, home) as front:
        condition = {"If-None-Match": '"v1"'}
        answer = await front.get("/etag", headers={**bearer(h.expired()), **condition})
        assert "x-access-token" in answer.headers
        assert h.api.requests[-1].values(b"if-none-match") == []
        other = await get(front, "/etag", h.login("bob"))
        assert is_keyless(other)
