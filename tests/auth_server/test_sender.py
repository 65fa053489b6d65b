import asyncio
import contextlib
import gzip
import logging
import math
import os
import socket
import ssl

import pytest
import trustme

from gateway.auth_server.sender import Lost, Unsent
from gateway.core.token_requests import TokenRequest

from .support import answering, hanging, reply, serving

OK = reply({"ok": True})


def get(url, **more):
    fields = more.pop("headers", ())
    return TokenRequest(more.pop("method", "GET"), url, tuple(fields), more.pop("body", b""))


def soon(seconds=5.0):
    return asyncio.get_running_loop().time() + seconds


async def test_the_request_carries_what_was_asked_and_little_else(sender):
    """R15, X8: no header of a library's own, no cookie, and the target as built."""
    async with serving(answering(OK)) as (url, seen):
        request = get(url + "/t?a=%2B%2F%3D&b=%25", method="POST", headers=[(b"x-a", b"1")], body=b"form=1")
        found = await sender.send(request, deadline=soon(), max_body=100)
    assert (found.status, found.body) == (200, b'{"ok": true}')
    line, *fields = seen.requests[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert line == b"POST /t?a=%2B%2F%3D&b=%25 HTTP/1.1"
    names = sorted(field.partition(b":")[0].lower() for field in fields)
    assert names == [b"accept-encoding", b"connection", b"content-length", b"host", b"user-agent", b"x-a"]
    assert b"identity" in seen.requests[0]
    assert seen.requests[0].endswith(b"form=1")


async def test_a_cookie_of_one_answer_is_not_in_the_next_request(sender):
    """X8; HARDENING, trap 2."""
    async with serving(answering(reply({}, 200, "Set-Cookie: user=alice; Path=/"))) as (url, seen):
        for _ in range(2):
            await sender.send(get(url), deadline=soon(), max_body=100)
    assert all(b"cookie" not in request.lower() for request in seen.requests)


async def test_the_environment_sends_nothing_through_a_proxy(sender, monkeypatch, tmp_path):
    """X8: neither HTTP_PROXY nor netrc."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(answering(OK)) as (url, seen), serving(answering(OK)) as (proxy, proxied):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("ALL_PROXY", proxy)
        await sender.send(get(url), deadline=soon(), max_body=100)
    assert (seen.connections, proxied.connections) == (1, 0)
    assert b"authorization" not in seen.requests[0].lower()


async def test_each_request_has_a_connection_of_its_own(sender):
    """HARDENING, trap 12: no stale keep-alive connection can make a flight ambiguous."""
    async with serving(answering(OK)) as (url, seen):
        for _ in range(3):
            await sender.send(get(url), deadline=soon(), max_body=100)
    assert seen.connections == 3


async def test_a_redirect_is_not_followed(sender):
    """R15, B7: not one byte goes to the other place."""
    async with serving(answering(OK)) as (elsewhere, visited):
        moved = reply({}, 302, f"Location: {elsewhere}/token")
        async with serving(answering(moved)) as (url, _):
            assert (await sender.send(get(url), deadline=soon(), max_body=100)).status == 302
    assert visited.connections == 0


async def test_a_body_without_end_is_cut_off(sender):
    """B6: 1 GB is not read, and its sender is told."""
    sent, closed = 0, asyncio.Event()

    async def flood(_, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65536))
                sent += 65536
                await writer.drain()
        except OSError:
            closed.set()
            raise

    async with serving(flood) as (url, _):
        with pytest.raises(Lost, match="too large"):
            await sender.send(get(url), deadline=soon(), max_body=65536)
        async with asyncio.timeout(10):
            await closed.wait()
    assert sent < 64 * 1024 * 1024


async def test_a_body_at_the_cap_is_whole(sender):
    """B6"""
    async with serving(answering(reply(bytes(1000)))) as (url, _):
        assert len((await sender.send(get(url), deadline=soon(), max_body=1000)).body) == 1000
        with pytest.raises(Lost):
            await sender.send(get(url), deadline=soon(), max_body=999)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{} \r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\n\r\n{}"


@pytest.mark.parametrize("answer", [CHUNKED, INTERIM + UNFRAMED, UNFRAMED.replace(b"1.1", b"1.0")])
async def test_an_answer_may_be_framed_in_any_way(sender, answer):
    """RFC 9112 §6.3: in chunks, or by the end of the connection; interim ones come before it."""
    async with serving(answering(answer)) as (url, _):
        found = await sender.send(get(url), deadline=soon(), max_body=100)
    assert (found.status, found.body.strip()) == (200, b"{}")


async def test_an_answer_that_ends_with_the_socket_is_whole_within_tls_too(trusting, tmp_path):
    """R10: servers leave out ``close_notify``; JSON shows where it ends, and a rotated token is dear."""

    async def ending_below_tls(_, writer):
        writer.write(UNFRAMED)
        await writer.drain()
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)
        await asyncio.Event().wait()

    authority, ca_file = trustme.CA(), str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(ending_below_tls, ssl=context) as (url, _):
        found = await trusting(ca_file).send(get(url), deadline=soon(), max_body=100)
    assert found.body == b"{}"


async def test_a_dripped_answer_ends_at_the_deadline(sender):
    """B6, B2"""

    async def drip(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as (url, _):
        with pytest.raises(Lost, match="TimeoutError"):
            await sender.send(get(url), deadline=soon(0.2), max_body=1000)


async def test_an_answer_that_would_expand_is_refused(sender):
    """B6, R14: a gzip bomb is not opened, because we asked for identity."""
    bomb = reply(gzip.compress(bytes(10_000_000)), 200, "Content-Encoding: gzip")
    async with serving(answering(bomb)) as (url, _):
        with pytest.raises(Lost, match="encoded"):
            await sender.send(get(url), deadline=soon(), max_body=1 << 20)


async def test_a_refused_connection_sent_nothing(sender):
    """B1, R10"""
    async with serving(hanging) as (url, _):
        pass
    with pytest.raises(Unsent):
        await sender.send(get(url), deadline=soon(), max_body=100)


@pytest.mark.parametrize("url", ["ftp://as.example/", "http://", "http://[::1", "no url", "http://a\x00b/"])
async def test_an_impossible_url_sent_nothing(sender, url):
    with pytest.raises(Unsent):
        await sender.send(get(url), deadline=soon(), max_body=100)


@pytest.mark.parametrize("fragment", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"garbage\r\n\r\n"])
async def test_a_broken_answer_is_lost(sender, fragment):
    """B4, R10: from the first byte of the request on, nobody knows whether the server acted."""
    async with serving(answering(fragment)) as (url, seen):
        with pytest.raises(Lost):
            await sender.send(get(url), deadline=soon(), max_body=100)
    assert len(seen.requests) == 1


async def test_a_handshake_that_never_ends_sent_nothing(sender):
    """R10: the deadline passed while TLS was still being agreed."""
    async with serving(hanging) as (url, seen):
        with pytest.raises(Unsent, match="TimeoutError"):
            await sender.send(get(url.replace("http:", "https:")), deadline=soon(0.2), max_body=100)
    assert seen.requests == []


async def test_after_the_last_moment_nothing_is_sent(sender):
    """R10: a second presentation leaves within the grace or not at all."""
    async with serving(answering(OK)) as (url, seen):
        with pytest.raises(Unsent, match="too late"):
            await sender.send(get(url), deadline=soon(), max_body=100, send_by=soon(-1))
        assert (await sender.send(get(url), deadline=soon(), max_body=100, send_by=math.inf)).status == 200
    assert len(seen.requests) == 1


async def test_a_cancelled_exchange_closes_its_connection(sender):
    """HARDENING, trap 1."""
    gone = asyncio.Event()
    arrived = asyncio.Event()

    async def watch(_, writer):
        arrived.set()
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        gone.set()

    async with serving(watch) as (url, _):
        task = asyncio.create_task(sender.send(get(url), deadline=soon(60), max_body=100))
        async with asyncio.timeout(10):
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()


async def test_no_library_logs_a_token(sender, caplog):
    """X9; HARDENING, trap 11: httpx logs URLs at INFO, httpcore headers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    request = get("", headers=[(b"authorization", b"Bearer canary-h")], body=b"canary-b", method="POST")
    async with serving(answering(reply({"t": "canary-r"}, 200, "X-T: canary-r"))) as (url, _):
        sent = TokenRequest(request.method, url + "/?t=canary-q", request.headers, request.body)
        found = await sender.send(sent, deadline=soon(), max_body=100)
    assert b"canary-r" in found.body
    assert "canary" not in caplog.text + repr(found) + repr(sent)
