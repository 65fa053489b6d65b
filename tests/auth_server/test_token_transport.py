"""What is this transport's own. ``test_sender`` has what it promises like the other one, over real sockets."""

import asyncio
import contextlib
import math

import pytest

from gateway.auth_server.sender import Exhausted, Lost, Unsent
from gateway.auth_server.token_transport import TokenTransport
from gateway.core.errors import Overloaded, UpstreamProtocolError, UpstreamUnreachable
from gateway.core.token_requests import TokenRequest

JSON = [(b"Content-Type", b"application/json")]


class Answer:
    """An answer from a list of its body's pieces; an exception among them is raised in its turn."""

    def __init__(self, *pieces, headers=JSON, status=200):
        self.pieces = list(pieces)
        self.headers = headers
        self.status = status

    async def head(self):
        if self.pieces and isinstance(self.pieces[0], UpstreamUnreachable):
            raise self.pieces[0]

    async def read(self):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


class Server:
    """Both ports in one: connections to it, and what was asked on them."""

    def __init__(self, answer=None, refusal=None):
        self.answer = answer or Answer(b"{}")
        self.refusal = refusal
        self.opened = []
        self.asked = []
        self.aborted = 0

    async def open(self, host, port, *, tls):
        self.opened.append((host, port, tls))
        if self.refusal is not None:
            raise self.refusal
        return self

    def ask(self, method, target, fields, body):
        self.asked.append((method, target, fields, body))
        return self.answer

    def abort(self):
        self.aborted += 1


def request(url="https://as.example/token", method="POST", fields=(), body=b"a=1"):
    return TokenRequest(method, url, tuple(fields), body)


async def send(server, sent=None, **more):
    return await TokenTransport(server).send(sent or request(), **({"deadline": math.inf, "max_body": 100} | more))


@pytest.mark.parametrize(
    ("url", "place", "host", "target"),
    [
        ("https://as.example/token", ("as.example", 443, True), b"as.example", b"/token"),
        ("https://as.example:443/token", ("as.example", 443, True), b"as.example", b"/token"),
        ("http://as.example", ("as.example", 80, False), b"as.example", b"/"),
        (
            "http://as.example:8080/a/../b%2F?x=%2B",
            ("as.example", 8080, False),
            b"as.example:8080",
            b"/a/../b%2F?x=%2B",
        ),
        ("https://[::1]:9000/t", ("::1", 9000, True), b"[::1]:9000", b"/t"),
        ("https://as.example?t=1", ("as.example", 443, True), b"as.example", b"/?t=1"),
        ("HTTPS://AS.example/T", ("as.example", 443, True), b"as.example", b"/T"),
    ],
)
async def test_a_url_says_where_to_connect_and_what_to_ask_for(url, place, host, target):
    """R15; HARDENING, trap 3: the target goes out as it was configured."""
    server = Server()
    await send(server, request(url))
    ((_, asked, fields, _),) = server.asked
    assert (server.opened, asked) == ([place], target)
    assert fields.startswith(b"host: " + host + b"\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "https://user@as.example/",
        "https://as.example/t#x",
        "https://as.example:x/",
        "https://as.example:99999/",
        "https://as.exämple/",
        "https://as.example/ü",
        "https://as.example@evil.example/",
        "https://:443/",
        "//a/",
    ],
)
async def test_what_is_no_plain_url_goes_nowhere(url):
    """R15"""
    server = Server()
    with pytest.raises(Unsent) as unsent:
        await send(server, request(url))
    assert (server.opened, "as.ex" in str(unsent.value)) == ([], False)


@pytest.mark.parametrize("field", [(b"x-a", b"1\r\nx-b: 2"), (b"x a", b"1"), (b"Content-Length", b"9")])
async def test_a_field_that_could_start_another_request_goes_nowhere(field):
    """P17"""
    server = Server()
    with pytest.raises(Unsent):
        await send(server, request(fields=[field]))
    assert server.opened == []


@pytest.mark.parametrize(
    ("method", "body", "content"),
    [("POST", b"a", b"a"), ("POST", b"", b""), ("GET", b"", None), ("GET", b"a", b"a")],
)
async def test_only_methods_without_content_declare_none(method, body, content):
    """RFC 9110 §8.6"""
    server = Server()
    await send(server, request(method=method, body=body))
    assert server.asked[0][3] == content


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (Overloaded(), Exhausted, Lost),
        (UpstreamUnreachable(), Unsent, Lost),
        (UpstreamUnreachable(sent=True), Unsent, Lost),
        (UpstreamProtocolError(), Unsent, Lost),
        (ValueError("canary"), Unsent, Lost),
    ],
)
async def test_what_fails_before_the_request_is_written_may_be_made_again(error, before, after):
    """R10, B27: and nothing after it. No text quotes."""
    unopened, broken = Server(refusal=error), Server(Answer(error, headers=[(b"Content-Length", b"9")]))
    for server, expected in ((unopened, before), (broken, after)):
        with pytest.raises((Unsent, Lost)) as failure:
            await send(server)
        assert failure.type is expected
        assert "canary" not in str(failure.value)
        assert failure.value.__cause__ is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"{}"),
        Answer(b"x" * 101),
        Answer(UpstreamUnreachable(sent=True)),
        Answer(headers=[(b"Content-Encoding", b"br")]),
    ],
    ids=["whole", "too large", "broken off", "encoded"],
)
async def test_every_end_closes_the_connection(answer):
    """HARDENING, trap 1; B6"""
    server = Server(answer)
    with contextlib.suppress(Lost):
        await send(server)
    assert server.aborted == 1


async def test_a_connection_that_came_too_late_is_closed_unused():
    """R10"""
    server = Server()
    with pytest.raises(Unsent, match="too late"):
        await send(server, send_by=asyncio.get_running_loop().time() - 1)
    assert (server.asked, server.aborted) == ([], 1)


@pytest.mark.parametrize("framing", [b"Content-Length", b"transfer-encoding"])
async def test_only_a_body_of_no_declared_length_may_end_badly(framing):
    """R10: that JSON is whole is for its reader to see."""
    assert (await send(Server(Answer(b"{}", UpstreamProtocolError())))).body == b"{}"
    with pytest.raises(Lost):
        await send(Server(Answer(b"{}", UpstreamProtocolError(), headers=[(framing, b"x")])))


async def test_the_servers_that_are_remembered_are_few():
    """D6: and of a URL with a token in its query nothing else is remembered (X9)."""
    transport = TokenTransport(Server())
    for number in range(100):
        canary = request(f"https://as{number}.example/t?t=canary")
        await transport.send(canary, deadline=math.inf, max_body=100)
    assert len(transport._servers) <= 16
    assert "canary" not in repr(transport._servers)
