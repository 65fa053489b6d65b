"""Bodies stream: whatever their size, and however slow either side is, memory stays flat (D4).

The gateway runs as a process of its own, so that its memory is nobody else's.
"""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.processes import Running, Stub, connection, gateway, stub
from tests.e2e.raw_client import head_bytes
from upstream_stub.pattern import pattern_sha256

GB = 1 << 30
ALLOWED = 64 << 20
PIECE = bytes(range(256)) * 4096
STALLED = 0.3
"""Seconds in which a side that could go on does not."""
CROWD, EACH = 200, 1 << 20
"""So many clients at once, and so many bytes for each: Envoy buffers 1 MiB for each of two connections."""
LONG = 50_000_000
KERNEL = 32 << 20
"""More than all socket buffers between the two ends hold, and far less than the bodies here."""


@dataclass
class Setting:
    """What the tests share."""

    running: Running
    stub: Stub
    token: str
    listener: socket.socket
    """The API behind ``/raw/``: the test itself."""

    def ask(self, client: socket.socket, method: str, target: str, headers=()) -> None:
        client.sendall(head_bytes(method, target, (self.token, None), headers))

    @contextmanager
    def growing_little(self, allowed: int = ALLOWED) -> Iterator[None]:
        before = self.running.memory()
        yield
        assert self.running.memory() - before < allowed

    @contextmanager
    def exchange(
        self, method: str, headers=(), *, buffer: int | None = None
    ) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Both ends of one request: the client's connection, and the API's after it has read the head."""
        with connection(self.running, buffer=buffer) as client:
            self.ask(client, method, "/raw/x", headers)
            with closing(self.listener.accept()[0]) as api:
                api.settimeout(STALLED)
                head_of(api)
                yield client, api


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    with socket.create_server(("127.0.0.1", 0)) as listener, stub(folder) as served:
        listener.settimeout(30)
        sections = {
            "upstream": {"url": served.api_url},
            "upstreams.raw": {"url": f"http://127.0.0.1:{listener.getsockname()[1]}"},
            "auth_server": {"issuer": served.auth_url, "token_endpoint": None, "jwks_uri": None},
            "access_token": {"issuer": served.auth_url},
        }
        with gateway(folder, sections, [{"match": "/raw/*", "upstream": "raw"}]) as running:
            opened = Setting(running, served, served.login(), listener)
            with connection(running) as client:  # what the first request loads is not what bodies cost
                opened.ask(client, "GET", "/bytes?size=1000000")
                assert download(client) == 1_000_000
            yield opened


def head_of(side: socket.socket) -> bytes:
    """A message's head, byte by byte, so that nothing of its body is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = side.recv(1)
        assert byte, head
        head += byte
    return head


def length_in(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length: ")
    return int(rest.split(b"\r\n")[0])


def download(client: socket.socket) -> int:
    """Bytes of one whole answer."""
    head = head_of(client)
    assert head.startswith(b"HTTP/1.1 200 ")
    return drain(client, length_in(head))


def drain(side: socket.socket, size: int) -> int:
    """Read ``size`` bytes, or to the end, and count them."""
    room, got = bytearray(1 << 20), 0
    while got < size and (read := side.recv_into(room, min(len(room), size - got))):
        got += read
    return got


def push(side: socket.socket) -> int:
    """Bytes that the other side takes before it takes no more for a while."""
    side.settimeout(STALLED)
    sent = 0
    try:
        while sent < GB:
            sent += side.send(PIECE)
    except TimeoutError:
        pass
    return sent


def test_a_gigabyte_down_leaves_memory_flat(setting):
    """D4, P11."""
    with setting.growing_little(), connection(setting.running) as client:
        setting.ask(client, "GET", f"/bytes?size={GB}")
        assert download(client) == GB


@pytest.mark.parametrize(("form", "size"), [("length", GB), ("chunked", GB // 4)])
def test_a_large_upload_leaves_memory_flat(setting, form, size):
    """D4, P11: a gigabyte with its length, a quarter of one in chunks; what arrives is what was sent."""
    with setting.growing_little(), connection(setting.running) as client:
        if form == "length":
            setting.ask(client, "POST", "/upload", [(b"Content-Length", b"%d" % size)])
            piece, end = PIECE, b""
        else:
            setting.ask(client, "POST", "/upload", [(b"Transfer-Encoding", b"chunked")])
            piece, end = b"100000\r\n" + PIECE + b"\r\n", b"0\r\n\r\n"
        for _ in range(size // len(PIECE)):
            client.sendall(piece)
        client.sendall(end)
        answer = head_of(client)
        body = client.recv(length_in(answer), socket.MSG_WAITALL)
    assert json.loads(body) == {"length": size, "sha256": pattern_sha256(size)}


def test_a_reader_that_stalls_stops_the_api_that_pushes(setting):
    """D4: little is taken from the API for it, and all of it is there when the reader goes on."""
    with setting.growing_little(), setting.exchange("GET") as (client, api):
        api.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GB)
        sent = push(api)
        assert 0 < sent < KERNEL
        head_of(client)
        assert drain(client, sent) == sent
        assert push(api) > 0


def test_an_api_that_stalls_stops_the_client_that_pushes(setting):
    """D4: the other way; what a slow API has not read waits with its client."""
    with setting.growing_little(), setting.exchange("POST", [(b"Content-Length", b"%d" % GB)]) as (client, api):
        sent = push(client)
        assert 0 < sent < KERNEL
        assert drain(api, sent) == sent
        assert push(client) > 0


def test_a_body_that_is_kept_for_a_replay_stays_small(setting):
    """D4: a PUT may be sent again, up to replay_body; a gigabyte is not kept, in memory or on disk."""
    with setting.growing_little(), setting.exchange("PUT", [(b"Transfer-Encoding", b"chunked")]) as (client, api):
        chunk = b"100000\r\n" + PIECE + b"\r\n"
        for _ in range(64):
            client.sendall(chunk)
            assert drain(api, len(PIECE)) == len(PIECE)


def push_all(sides: list[socket.socket]) -> list[int]:
    """The same with many: bytes that each takes before none of them takes any more for a while."""
    sent, poll = dict.fromkeys((side.fileno() for side in sides), 0), select.poll()
    by_number = {side.fileno(): side for side in sides}
    for side in sides:
        side.setblocking(False)
        poll.register(side, select.POLLOUT)
    while ready := poll.poll(STALLED * 1000):
        for number, _ in ready:
            sent[number] += by_number[number].send(PIECE[: 1 << 16])
            assert sent[number] < LONG
    return list(sent.values())


def served_meanwhile(setting: Setting) -> None:
    with connection(setting.running) as client:
        setting.ask(client, "GET", "/bytes?size=20000000")
        assert download(client) == 20_000_000


def test_many_readers_that_stall_cost_a_bounded_amount_each(setting):
    """D4: 200 answers of 50 MB, of which each API connection sends what is taken; others are served meanwhile."""
    with setting.growing_little(CROWD * EACH), ExitStack() as stack:
        pairs = [stack.enter_context(setting.exchange("GET", buffer=4096)) for _ in range(CROWD)]
        for _, api in pairs:
            api.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
        sent = push_all([api for _, api in pairs])
        assert all(0 < size < LONG for size in sent)
        served_meanwhile(setting)
        for (client, _), size in list(zip(pairs, sent, strict=True))[::50]:
            head_of(client)
            assert drain(client, size) == size


def test_many_senders_to_an_api_that_stalls_cost_a_bounded_amount_each(setting):
    """D4: 200 uploads of 50 MB that the API does not read; others are served meanwhile."""
    length = [(b"Content-Length", b"%d" % LONG)]
    with setting.growing_little(CROWD * EACH), ExitStack() as stack:
        pairs = [stack.enter_context(setting.exchange("POST", length)) for _ in range(CROWD)]
        sent = push_all([client for client, _ in pairs])
        assert all(0 < size < LONG for size in sent)
        served_meanwhile(setting)
        for (_, api), size in list(zip(pairs, sent, strict=True))[::50]:
            api.settimeout(30)
            assert drain(api, size) == size
