"""W1 over raw sockets: bytes in, status and what the upstream saw out. No tunnel without both sides' consent."""

import base64
import hashlib
import re
from contextlib import asynccontextmanager

import pytest

from tests.house import house
from tests.websocket.wire import frame

from .raw_client import connected, head_bytes
from .scripted import before
from .sockets import ACCEPT, HANDSHAKE, KEY, TEXT, Heard, Talk, handshake, switched
from .wire import Script

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TAKEN = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def changed(**changes):
    """The fields of a handshake with some replaced, repeated (a list) or left out (None)."""
    fields = []
    for name, value in HANDSHAKE:
        new = changes.pop(name.decode().lower().replace("-", "_"), value)
        fields += [(name, v) for v in (new if isinstance(new, list) else [new] if new is not None else [])]
    return fields + [(name.replace("_", "-").encode(), value) for name, value in changes.items()]


def get(fields, method="GET", version="1.1", body=b""):
    return lambda pair: head_bytes(method, "/chat", pair, fields, version=version) + body


TAKEN_UP = {
    "as browsers do": get(changed(connection=b"keep-alive, Upgrade", origin=b"https://app.example")),
    "in any case": get(changed(connection=b"UPGRADE", upgrade=b"WebSocket")),
    "one of several protocols": get(changed(upgrade=b"h2c, websocket")),
    "with an extension": get(changed(sec_websocket_extensions=b"permessage-deflate; client_max_window_bits")),
    "its own fields named away": get(
        changed(connection=b"Upgrade, Sec-WebSocket-Key, sec-websocket-version, Host, Authorization")
    ),
    "an underscore twin of the key": get([*changed(), (b"Sec_WebSocket_Key", b"AAAA")]),
}

REFUSED = {
    "no version": (426, get(changed(sec_websocket_version=None))),
    "version 12": (426, get(changed(sec_websocket_version=b"12"))),
    "version 777": (426, get(changed(sec_websocket_version=b"777"))),
    "two versions": (426, get(changed(sec_websocket_version=[b"13", b"13"]))),
    "a list of versions": (426, get(changed(sec_websocket_version=b"13, 8"))),
    "no key": (400, get(changed(sec_websocket_key=None))),
    "an empty key": (400, get(changed(sec_websocket_key=b""))),
    "a short key": (400, get(changed(sec_websocket_key=base64.b64encode(b"x" * 15)))),
    "a long key": (400, get(changed(sec_websocket_key=base64.b64encode(b"x" * 17)))),
    "no base64": (400, get(changed(sec_websocket_key=b"****************xx=="))),
    "two keys": (400, get(changed(sec_websocket_key=[KEY, KEY]))),
}

ORDINARY = {
    "POST": get(changed(content_length=b"0"), method="POST"),
    "HTTP/1.0": get(changed(), version="1.0"),
    "with a body": get(changed(content_length=b"5"), body=b"hello"),
    "with an empty body": get(changed(content_length=b"0")),
    "with chunks": get(changed(transfer_encoding=b"chunked"), body=b"0\r\n\r\n"),
    "without Connection": get(changed(connection=None)),
    "Connection without upgrade": get(changed(connection=b"keep-alive")),
    "h2c": get(changed(upgrade=b"h2c", connection=b"Upgrade, HTTP2-Settings", http2_settings=b"AAMAAABkAAQAAP__")),
    "another protocol": get(changed(upgrade=b"websockets")),
}


async def consenting(peer):
    """Takes up every proper handshake, answers everything else with 200."""
    while True:
        head = await peer.head()
        peer.heads.append(head)
        key = re.search(rb"(?i)\r\nsec-websocket-key: (\S+)\r\n", head)
        if key and re.search(rb"(?i)\r\nupgrade: websocket\r\n", head):
            await peer.send(TAKEN % base64.b64encode(hashlib.sha1(key[1] + GUID).digest()))  # noqa: S324  # RFC 6455
            await peer.send(frame(TEXT, b"welcome", mask=None))
            await peer.gone()
            return
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        await peer.reader.readexactly(int(length[1]) if length else 0)
        if re.search(rb"(?i)\r\ntransfer-encoding: chunked", head):
            await peer.reader.readuntil(b"0\r\n\r\n")
        await peer.send(OK)


@asynccontextmanager
async def gateway(tmp_path, **more):
    """A gateway before such an upstream; what it saw of each request."""
    heads = []

    async def handler(peer):
        peer.heads = heads
        await consenting(peer)

    async with before(tmp_path, handler, **more) as (h, _):
        yield h, heads


def fields_of(head):
    """Names in lower case, values, as the upstream saw them."""
    lines = head.split(b"\r\n")[1:-2]
    return [(name.lower(), value) for name, value in (line.split(b": ", 1) for line in lines)]


@pytest.mark.parametrize("data", TAKEN_UP.values(), ids=TAKEN_UP)
async def test_a_proper_handshake_becomes_a_tunnel(tmp_path, data):
    """W1, X6: and the upstream sees exactly one proper handshake, without extensions."""
    async with gateway(tmp_path) as (h, heads), connected(h) as client:
        pair = h.login()
        await client.send(data(pair))
        answer = await switched(client)
        assert answer.status == 101
        assert answer.values(b"sec-websocket-accept") == [ACCEPT]
        assert [v.lower() for v in answer.values(b"connection")] == [b"upgrade"]
        assert answer.values(b"upgrade") == [b"websocket"]
        assert await Talk(client, answer).hear() == Heard(TEXT, b"welcome")
        seen = [(n, v) for n, v in fields_of(heads[0]) if n in (b"connection", b"upgrade") or b"websocket" in n]
        assert sorted(seen) == sorted((n.lower(), v) for n, v in HANDSHAKE)
        assert (b"authorization", f"Bearer {pair[0]}".encode()) in fields_of(heads[0])
        assert not [n for n, _ in fields_of(heads[0]) if b"_" in n]


@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED)
async def test_a_wrong_one_is_refused_and_never_reaches_the_upstream(tmp_path, status, data):
    """W1: and what follows it on the connection is an ordinary request, judged like any other."""
    async with gateway(tmp_path) as (h, heads), connected(h) as client:
        await client.send(data(h.login()) + head_bytes("GET", "/internal"))
        answer = await switched(client)
        assert answer.status == status
        if status == 426:
            assert answer.values(b"sec-websocket-version") == [b"13"]
            assert answer.values(b"upgrade") == [b"websocket"]
            assert answer.values(b"connection") == [b"Upgrade"]  # RFC 9110 §7.8; it stays open
        assert (await switched(client)).status == 401
        assert heads == []


@pytest.mark.parametrize("data", ORDINARY.values(), ids=ORDINARY)
async def test_what_is_no_handshake_is_an_ordinary_request(tmp_path, data):
    """P8, W1: its Upgrade is ignored (RFC 9110 §7.8), and the next request is judged by itself."""
    async with gateway(tmp_path) as (h, heads), connected(h) as client:
        await client.send(data(h.login()))
        assert (await switched(client)).status == 200
        assert len(heads) == 1
        assert not {b"upgrade", b"http2-settings"} & {n for n, _ in fields_of(heads[0])}
        assert b"upgrade" not in b"".join(v for n, v in fields_of(heads[0]) if n == b"connection").lower()


GOOD = TAKEN % ACCEPT
NO_TUNNEL = {
    "no accept": GOOD.replace(b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n", b""),
    "another key's accept": TAKEN % b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "two accepts": GOOD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"),
    "no Upgrade": GOOD.replace(b"Upgrade: websocket\r\n", b""),
    "another Upgrade": GOOD.replace(b"websocket", b"h2c", 1),
    "no Connection": GOOD.replace(b"Connection: Upgrade\r\n", b""),
    "an extension that nobody offered": GOOD.replace(
        b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    ),
    "a protocol that nobody offered": GOOD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: evil\r\n\r\n"),
    "a length": GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
    "chunks": GOOD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "HTTP/1.0": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("answer", NO_TUNNEL.values(), ids=NO_TUNNEL)
async def test_a_101_that_proves_nothing_is_no_tunnel(tmp_path, answer):
    """W1: 502, and what the client sends behind it is HTTP to us."""
    async with (
        Script.saying(answer) as script,
        house(tmp_path, upstream={"url": script.url}) as h,
        connected(h) as client,
    ):
        await client.send(handshake("/chat", h.login()) + head_bytes("GET", "/internal"))
        refused = await switched(client)
        assert refused.status == 502
        assert b"upstream_protocol_error" in refused.body
        assert (await switched(client)).status == 401
        assert len(script.requests) == 1
        assert h.gateway.tunnels.open == 0


@pytest.mark.parametrize("status", [200, 204, 301, 400, 403, 404, 426, 500, 503])
async def test_an_upstream_that_declines_has_said_so(tmp_path, status):
    """W1: any answer but 101 is relayed, and the connection goes on in HTTP."""
    fields = b"" if status == 204 else b"Content-Length: 2\r\n\r\nno"
    answer = b"HTTP/1.1 %d X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b" % (status, fields or b"\r\n")
    async with (
        Script.saying(answer) as script,
        house(tmp_path, upstream={"url": script.url}) as h,
        connected(h) as client,
    ):
        await client.send(handshake("/chat", h.login()))
        assert (await switched(client)).status == status
        await client.send(head_bytes("GET", "/internal"))
        assert (await switched(client)).status == 401
        assert h.gateway.tunnels.open == 0


@pytest.mark.parametrize("line", ["GET", "POST"])
async def test_a_101_that_nobody_asked_for_is_no_tunnel(tmp_path, line):
    """W1."""
    async with Script.saying(GOOD) as script, house(tmp_path, upstream={"url": script.url}) as h:
        answer = await h.request(line, "/chat", h.login())
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_protocol_error")


async def test_frames_sent_with_the_handshake_wait_for_its_answer(tmp_path):
    """P16: also behind another request on the same connection."""

    async def echo(peer):
        head = await peer.head()
        if b"upgrade" not in head.lower():
            await peer.send(OK)
            head = await peer.head()
        await peer.send(GOOD)
        while data := await peer.reader.read(65536):
            received.append(data)
            if sum(map(len, received)) >= 9:
                await peer.send(frame(TEXT, b"got it", mask=None))

    received = []
    async with before(tmp_path, echo) as (h, _), connected(h) as client:
        pair = h.login()
        await client.send(head_bytes("GET", "/first", pair) + handshake("/chat", pair) + frame(TEXT, b"hey"))
        assert (await switched(client)).status == 200
        answer = await switched(client)
        assert answer.status == 101
        assert await Talk(client, answer).hear() == Heard(TEXT, b"got it")
