"""The application under ASGI servers that are not ours: slower to notice things, but right."""

import httpx
import pytest

from tests.e2e.support import code, until
from tests.edge.servers import serving
from tests.house import bearer, house


@pytest.fixture(params=["h11", "httptools"])
async def strange(request, tmp_path):
    """The house, and its gateway's address under another protocol class."""
    if request.param == "h11":
        pytest.importorskip("h11")
    async with (
        house(tmp_path, server={"max_body": "1MiB"}) as h,
        serving(h.gateway.application, request.param) as (port, _),
    ):
        yield h, f"http://127.0.0.1:{port}"


async def test_the_story_is_the_same(strange):
    """ASGI is the only thing that the application asks for."""
    h, url = strange
    answer = await h.client.post(f"{url}/echo?a=%2F&b", headers=bearer(h.expired()), content=b"x" * 100_000)
    assert answer.headers["x-token-refreshed"] == "expired"
    assert (answer.json()["target"], answer.json()["body"]["length"]) == ("/echo?a=%2F&b", 100_000)
    assert code(await h.client.get(f"{url}/echo")) == "missing_token"
    assert code(await h.client.get(f"{url}/_gateway/x")) == "not_found"


async def test_a_client_that_leaves_is_noticed(strange):
    """B22: the upstream is let go of, although this server tells only who asks."""
    h, url = strange
    with pytest.raises(httpx.ReadTimeout):
        await h.client.get(f"{url}/slow?seconds=60", headers=bearer(h.login()), timeout=httpx.Timeout(60, read=0.2))
    await until(lambda: h.api.cancelled == 1)
    assert h.gateway.upstreams[""].active == 0


async def test_a_broken_answer_never_looks_complete(strange):
    """P15: without a connection of ours an exception makes the server cut it."""
    h, url = strange
    for path in ("/break?after=1000", "/break?after=1000&chunked=1"):
        with pytest.raises(httpx.RemoteProtocolError):
            await h.client.get(url + path, headers=bearer(h.login()))
