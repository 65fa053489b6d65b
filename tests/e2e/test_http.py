"""HTTP at its edges, on the client's side: where requests end, when connections do, what old clients get."""

import json

from tests import lanes
from tests.e2e.support import until
from tests.e2e.wire import Wire, ask, request
from tests.house import house

pytestmark = lanes.BOTH

RULES = [{"match": "/off", "auth": "off"}]
"""Where there are rules, ambiguous paths are refused."""


async def test_a_refused_request_keeps_its_connection_and_its_body_is_dropped(tmp_path):
    """CONTRACT §5, P16: the next request is read where the body ends, not in it."""
    inner = request("GET /smuggled", None)
    async with house(tmp_path, routes=RULES, server={"max_body": "1KiB"}) as h, Wire.to(h.port) as wire:
        big = b"x" * 3000
        for line, pair, fields, body, expected in (
            ("POST /x", None, (f"Content-Length: {len(inner)}",), inner, 401),
            ("POST /x", None, ("Transfer-Encoding: chunked",), b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner), 401),
            ("POST /a//b", h.login(), (f"Content-Length: {len(inner)}",), inner, 400),
            ("POST /x", h.login(), ("Content-Length: 3000",), big, 413),
            ("POST /_gateway/x", None, ("Content-Length: 5",), b"hello", 404),
            ("GET /x", h.login(), (), b"", 200),
        ):
            wire.send(request(line, pair, *fields, body=body))
            assert (await wire.answer()).status == expected
        assert [r.path for r in h.api.requests] == ["/x"]


async def test_who_waits_to_be_told_to_go_on_is_told_the_refusal_and_nothing_more(tmp_path):
    """P13: 401 and no 100; then the connection closes, because nobody knows whether the body comes."""
    async with house(tmp_path, server={"max_body": "50B"}) as h:
        for line, length, expected in (("POST /x", 5, 401), ("POST /x", 100, 413), ("POST /_gateway/x", 5, 404)):
            async with Wire.to(h.port) as wire:
                wire.send(request(line, None, f"Content-Length: {length}", "Expect: 100-continue"))
                answer = await wire.answer()
                assert (answer.status, answer.informational) == (expected, [])
                assert answer.values(b"connection") == [b"close"]
                assert await wire.closed() == b""
        async with Wire.to(h.port) as wire:
            wire.send(request("POST /echo", h.login(), "Content-Length: 5", "Expect: 100-continue"))
            await wire.received(b"100 Continue\r\n\r\n")
            wire.send(b"hello")
            await wire.received(b'"text": "hello"')
        assert h.api.count == 1


async def test_garbage_after_a_request_is_never_its_answer(tmp_path):
    """P3, P16: the request is answered, then the garbage refused, then the connection closes."""
    async with house(tmp_path) as h, Wire.to(h.port) as wire:
        wire.send(request("GET /slow?seconds=0.1", h.login()) + b"GARBAGE\x00\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, json.loads(answer.body)) == (200, {"slept": 0.1})
        assert (await wire.answer()).status == 400
        assert await wire.closed() == b""


async def test_a_body_that_turns_to_garbage_ends_its_request(tmp_path):
    """P4: 400 and close while nothing was answered; a truncated answer where it was."""
    async with house(tmp_path) as h:
        async with Wire.to(h.port) as wire:
            wire.send(request("POST /upload", h.login(), "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))
            await until(lambda: h.api.active)
            wire.send(b"zz\r\n")
            answer = await wire.answer()
            assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad_request")
            assert await wire.closed() == b""
        await until(lambda: not h.api.active)
        async with Wire.to(h.port) as wire:
            wire.send(request("POST /echo-stream", h.login(), "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))
            await wire.received(b"abc")
            wire.send(b"zz\r\n")
            await wire.closed()
            assert not wire.raw.endswith(b"0\r\n\r\n")
            assert b"bad_request" not in wire.raw
        assert [(e.status, e.code) for e in h.requests()] == [(400, "bad_request"), (200, "bad_request")]
        assert [e.cut_by for e in h.requests()] == [None, "client"]


async def test_an_upgrade_that_nobody_takes_up_changes_nothing(tmp_path):
    """P8: Java's client asks every server for HTTP/2 so; its body and its next request are read as ever."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    async with house(tmp_path) as h, Wire.to(h.port) as wire:
        pair = h.login()
        chunked = b"3\r\nGET\r\n2\r\n /\r\n0\r\n\r\n"
        wire.send(
            request("GET /echo?1", pair, *upgrade)
            + request("POST /echo?2", pair, *upgrade, "Content-Length: 5", body=b"GET /")
            + request("POST /echo?3", pair, *upgrade, "Transfer-Encoding: chunked", body=chunked)
        )
        wire.send(request("POST /echo?4", pair, *upgrade, "Content-Length: 5", body=b"GE"))
        await until(lambda: h.api.count == 4)
        wire.send(b"T /" + request("GET /echo?5", pair))
        answers = [json.loads((await wire.answer()).body) for _ in range(5)]
        assert [a["target"] for a in answers] == [f"/echo?{n}" for n in range(1, 6)]
        assert [a["body"]["text"] for a in answers] == ["", "GET /", "GET /", "GET /", ""]
        assert not any(n in {"upgrade", "http2-settings", "connection"} for a in answers for n, _ in a["headers"])


async def test_an_old_client_gets_no_chunks(tmp_path):
    """RFC 9112 §6.1: for HTTP/1.0 the end of the connection ends a body of unknown length."""
    async with house(tmp_path) as h:
        for path, expected in (
            ("/bytes?size=1000&chunked=1", 1000),
            ("/bytes?size=1000", 1000),
            ("/status/204", 0),
        ):
            async with Wire.to(h.port) as wire:
                wire.send(request(f"GET {path}", h.login(), version="1.0"))
                head, _, body = (await wire.closed()).partition(b"\r\n\r\n")
                assert b"transfer-encoding" not in head
                assert b"connection: close" in head
                assert len(body) == expected
        async with Wire.to(h.port) as wire:
            wire.send(request("HEAD /bytes?size=1000&chunked=1", h.login(), version="1.0"))
            assert (await wire.closed()).endswith(b"\r\n\r\n")
        whole = await ask(h, request("GET /echo", h.login(), version="1.0"))
        assert "x-forwarded-for" in dict(json.loads(whole.body)["headers"])


async def test_an_answer_without_a_body_has_none(tmp_path):
    """P12: HEAD, 204 and 304, the API's and our own; the connection goes on."""
    async with house(tmp_path) as h:
        for method, path, pair in (
            ("HEAD", "/bytes?size=1000", h.login()),
            ("HEAD", "/bytes?size=1000&chunked=1", h.login()),
            ("HEAD", "/echo", None),
            ("HEAD", "/_gateway/x", None),
            ("GET", "/status/204", h.login()),
            ("GET", "/status/304", h.login()),
        ):
            async with Wire.to(h.port) as wire:
                wire.send(request(f"{method} {path}", pair) + request("GET /health", h.login()))
                await wire.received(b'{"status": "ok"}')
                first, _, second = wire.raw.partition(b"\r\n\r\n")
                assert second.startswith(b"HTTP/1.1 200 OK\r\n"), (method, path)
                assert method == "HEAD" or b"content-length" not in first.lower()
