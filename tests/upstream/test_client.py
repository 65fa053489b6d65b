"""Whole exchanges over real sockets."""

import asyncio

import pytest

from gateway.core.errors import (
    BAD_REQUEST,
    GatewayError,
    UpstreamUnreachable,
)

from .raw import (
    CONTINUE,
    OK,
    Body,
    always_ok,
    eventually,
    for_ever,
    get,
    once,
    post,
    serving,
    talking_to,
    upstream_of,
    whole,
)

TABLE = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n",
        b"hello",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "after 100, 102 and 103": (
        b"HTTP/1.1 102 P\r\n\r\n" + CONTINUE + b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" + OK,
        b"ok",
    ),
}


@pytest.mark.parametrize(("answer", "body"), TABLE.values(), ids=TABLE)
@pytest.mark.parametrize("split", [False, True], ids=["one segment", "byte by byte"])
async def test_an_answer_is_read_and_its_connection_used_again(answer, body, split):
    """P11, P12: 1xx are skipped, trailers dropped."""

    async def handler(peer):
        while True:
            await peer.request()
            for i in range(len(answer)) if split else ():
                await peer.send(answer[i : i + 1])
                await asyncio.sleep(0)
            await peer.send(b"" if split else answer)

    async with talking_to(handler) as (server, upstream):
        for _ in range(3):
            response = await upstream.send(get())
            assert await whole(response) == body
            assert (upstream.active, upstream.idle) == (0, 1)
            assert all(name != b"Link" for name, _ in response.headers)
            response.close()
        assert server.connections == 1


async def test_the_body_of_a_closing_connection_ends_with_it():
    """P11: no length, no chunks."""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
        await peer.send(b"lo")

    async with talking_to(handler) as (server, upstream):
        for _ in range(2):
            response = await upstream.send(get())
            assert await whole(response) == b"hello"
        assert (server.connections, upstream.active, upstream.idle) == (2, 0, 0)


async def test_a_whole_small_answer_needs_no_waiting():
    async with talking_to(always_ok) as (_, upstream):
        response = await upstream.send(get())
        assert (response.take(), response.at_end, response.take()) == (b"ok", True, b"")
        assert (response.status, response.http_version) == (200, "1.1")
        assert response.headers == [(b"Content-Length", b"2")]


async def test_head_keeps_its_connection():
    """P12"""

    async def handler(peer):
        while True:
            head = await peer.head()
            await peer.send(OK if head.startswith(b"GET") else OK[:-2])

    async with talking_to(handler) as (server, upstream):
        for method, body in [(b"HEAD", b""), (b"GET", b"ok"), (b"HEAD", b""), (b"HEAD", b""), (b"GET", b"ok")]:
            response = await upstream.send(get(method=method))
            assert (response.headers, await whole(response)) == ([(b"Content-Length", b"2")], body)
        assert server.connections == 1


async def test_a_body_sent_with_head_never_reaches_the_next_response():
    """P12, B17"""
    async with talking_to(once(OK)) as (server, upstream):
        for _ in range(3):
            assert (await upstream.send(get(method=b"HEAD"))).at_end
        assert (server.connections, upstream.idle) == (3, 0)


@pytest.mark.parametrize("pause", [False, True], ids=["in one segment", "a moment later"])
async def test_an_answer_that_nobody_asked_for_never_reaches_the_next_request(pause):
    """B17: the measured poison of httpx's pool."""

    async def handler(peer):
        await peer.request()
        await peer.send(OK if pause else OK + OK.replace(b"ok", b"no"))
        if pause:
            asked.set()
            await may_poison.wait()
            await peer.send(OK.replace(b"ok", b"no"))
        await peer.gone()

    asked, may_poison = asyncio.Event(), asyncio.Event()
    async with talking_to(handler) as (server, upstream):
        assert await whole(await upstream.send(get())) == b"ok"
        if pause:
            assert upstream.idle == 1
            may_poison.set()
            await eventually(lambda: upstream.idle == 0)
        assert await whole(await upstream.send(get())) == b"ok"
        assert server.connections == 2


async def test_redirects_and_cookies_are_passed_on_and_forgotten(monkeypatch):
    """X7, X8: no second request, no cookie jar, no proxy of the environment."""
    seen = []

    async def handler(peer):
        while True:
            head, _ = await peer.request()
            seen.append(head)
            await peer.send(b"HTTP/1.1 302 F\r\nLocation: /x\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with talking_to(handler) as (_, upstream):
        for _ in range(2):
            response = await upstream.send(get(b"/a?b"))
            assert (response.status, response.headers[1]) == (302, (b"Set-Cookie", b"a=1"))
    assert seen == [b"GET /a?b HTTP/1.1\r\nHost: api.example\r\n\r\n"] * 2


async def test_injection_is_refused_before_any_byte():
    """P17"""
    async with talking_to(always_ok) as (server, upstream):
        with pytest.raises(GatewayError) as refused:
            await upstream.send(get(b"/\r\nAuthorization: b"))
        assert (refused.value.problem, server.connections) == (BAD_REQUEST, 0)


async def test_nothing_that_can_be_logged_names_the_upstream():
    async with serving(always_ok) as server, upstream_of(server, connect_timeout=1) as upstream:
        port = str(server.port)
        assert port not in repr(upstream._settings)
        assert "127.0.0.1" not in repr(upstream._settings)
    async with upstream_of(server) as upstream:
        with pytest.raises(UpstreamUnreachable) as refused:
            await upstream.send(get())
        cause, texts = refused.value, []
        while cause is not None:
            texts.append(f"{cause!r}{cause}")
            cause = cause.__cause__ or cause.__context__
        assert not any(port in text or "127.0.0.1" in text for text in texts)


async def test_closing_ends_everything_at_once():
    """B22: exchanges, uploads and waiters too; nothing is left."""
    async with talking_to(once(b""), max_connections=1) as (server, upstream):
        body = Body(for_ever, length=9)
        sending = asyncio.create_task(upstream.send(post(body)))
        waiting = asyncio.create_task(upstream.send(get()))
        await eventually(lambda: upstream.waiting == 1 and body.reading)
        await upstream.close()
        for task in (sending, waiting):
            with pytest.raises(UpstreamUnreachable):
                await task
        assert not body.reading
        await server.closed.wait()
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(get())
