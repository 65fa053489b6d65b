"""Our protocol class under uvicorn, with small applications: what is told of the connection, and when."""

import asyncio
import socket

import pytest

from gateway.edge.cycle import Cycle, cycle_of
from gateway.edge.protocol import GatewayProtocol
from tests.e2e.support import until
from tests.e2e.wire import Wire
from tests.edge.servers import serving
from tests.house import house

HEAD = b" HTTP/1.1\r\nHost: a\r\n"


class Application:
    """Answers with what it was told; without words for what is malformed."""

    def __init__(self, work=None) -> None:
        self.seen: list[Cycle] = []
        self._work = work

    async def __call__(self, scope, receive, send) -> None:
        connection = cycle_of(scope)
        self.seen.append(connection)
        if self._work is not None:
            await self._work(connection, receive, send)
            return
        fields = [(b"content-length", str(len(connection.target)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": connection.target})


async def test_the_target_is_the_clients_bytes():
    """P11: an empty query, an absolute form, everything."""
    targets = [b"/a?", b"/a??b", b"http://h/%2e%2e/x", b"//x/../y", b"/[]{}|\\^", b"*"]
    async with serving(Application(), GatewayProtocol) as (port, _), Wire.to(port) as wire:
        for target in targets:
            wire.send(b"OPTIONS " + target + HEAD + b"\r\n")
            assert (await wire.answer()).body == target


async def test_an_answered_request_is_forgotten_whoever_answered_it():
    """D6: a connection that lives for days holds no trace of its requests."""
    async with serving(Application(), GatewayProtocol) as (port, state), Wire.to(port) as wire:
        for _ in range(20):
            wire.send((b"GET /x" + HEAD + b"\r\n") * 3)
            for _ in range(3):
                assert (await wire.answer()).status == 200
        (protocol,) = state.connections
        assert len(protocol._pipeline._queue) == 0


async def test_a_request_under_way_learns_that_its_client_left():
    """B22."""
    told = asyncio.Event()

    async def work(connection, receive, send):
        connection.on_lost = told.set
        await told.wait()

    application = Application(work)
    async with serving(application, GatewayProtocol) as (port, _):
        async with Wire.to(port) as wire:
            wire.send(b"GET /x" + HEAD + b"\r\n")
            await until(lambda: application.seen)
        async with asyncio.timeout(30):
            await told.wait()
        assert application.seen[0].lost


async def test_an_aborted_answer_does_not_end():
    """P15: neither with a last chunk nor, for an old client whose body the end ends, with a plain end."""

    async def work(connection, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await receive()
        connection.abort()

    for version in (b"1.1", b"1.0"):
        async with serving(Application(work), GatewayProtocol) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /x HTTP/" + version + b"\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
            await reader.readuntil(b"half")
            writer.write(b"x")
            if version == b"1.0":
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            else:
                assert await reader.read() in (b"", b"\r\n")
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


async def test_an_application_without_words_gives_a_bare_refusal():
    async with serving(Application(), GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send(b"NONSENSE\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, answer.body) == (400, b"")
        assert await wire.closed() == b""


async def test_what_follows_garbage_is_never_read():
    """P1, P16: the requests before it are answered, nothing after it."""
    application = Application()
    async with serving(application, GatewayProtocol) as (port, _), Wire.to(port) as wire:
        good = b"GET /x" + HEAD + b"\r\n"
        wire.send(good * 2 + b"GET /bad HTTP/1.1\r\nHost : a\r\n\r\n" + good)
        first, second = await wire.answer(), await wire.answer()
        assert (first.status, second.status) == (200, 200)
        assert (await wire.answer()).status == 400
        assert await wire.closed() == b""
        assert len(application.seen) == 2


def test_without_our_protocol_there_is_no_connection_to_speak_of():
    assert cycle_of({}) is None
    assert cycle_of({"evergreen.cycle": object()}) is None


async def test_a_head_without_end_is_refused_and_not_collected(tmp_path):
    """D1, D6: 431 long before the memory is full, also behind another request."""
    for before in (b"", b"GET /first" + HEAD + b"\r\n"):
        async with house(tmp_path) as h, Wire.to(h.port) as wire:
            if before:
                wire.send(before)
                assert (await wire.answer()).status == 401
            wire.send(b"GET /x" + HEAD)
            for _ in range(100):
                wire.send(b"X-Fill: " + b"a" * 8000 + b"\r\n")
            answer = await wire.answer()
            assert (answer.status, b"headers_too_large" in answer.body) == (431, True)
            assert h.requests()[-1].code == "headers_too_large"


async def test_trailers_without_end_are_refused(tmp_path):
    """D6, P5."""
    async with house(tmp_path) as h, Wire.to(h.port) as wire:
        pair = h.login()
        wire.send(b"POST /slow?seconds=30" + HEAD + f"Authorization: Bearer {pair[0]}\r\n".encode())
        wire.send(b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
        for _ in range(20):
            wire.send(b"X-Fill: " + b"a" * 8000 + b"\r\n")
        assert (await wire.answer()).status == 431
        await until(lambda: h.api.active == 0)


async def test_a_client_that_leaves_while_its_body_waits_is_noticed(tmp_path):
    """B22: reading is paused then, and no event loop tells of the end of a paused socket."""
    async with house(tmp_path) as h:
        held = h.auth.fault("hold")
        access, refresh = h.expired()
        async with Wire.to(h.port) as wire:
            wire.send(b"POST /echo" + HEAD + f"Authorization: Bearer {access}\r\n".encode())
            wire.send(f"X-Refresh-Token: {refresh}\r\nContent-Length: 300000\r\n\r\n".encode() + b"a" * 300_000)
            await until(lambda: len(h.auth.token_requests) == 1)
            assert h.requests() == []
        await until(lambda: len(h.requests()) == 1)
        assert h.requests()[0].status == 0
        held.release()
        assert h.api.count == 0


async def test_a_request_whose_body_turns_to_garbage_ends_at_once(tmp_path):
    """P4, B22: its upstream is let go when the 400 is written, and nothing is written after it."""
    async with house(tmp_path, server={"idle_timeout": "60s"}) as h, Wire.to(h.port) as wire:
        pair = h.login()
        wire.send(b"POST /slow?seconds=30" + HEAD + f"Authorization: Bearer {pair[0]}\r\n".encode())
        wire.send(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await until(lambda: h.api.active == 1)
        wire.send(b"zz\r\n")
        assert (await wire.answer()).status == 400
        await until(lambda: h.api.active == 0)
        assert h.notices() == []


async def test_a_crowd_of_pipelined_requests_waits_unparsed():
    """D6, P16: one read holds thousands of small requests; all are answered, in order, some hundreds at a time."""
    held = asyncio.Event()

    async def work(connection, receive, send):
        await held.wait()
        fields = [(b"content-length", str(len(connection.target)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": connection.target})

    async with serving(Application(work), GatewayProtocol) as (port, state), Wire.to(port) as wire:
        wire.send(b"".join(b"GET /%d" % n + HEAD + b"\r\n" for n in range(3000)))
        await until(lambda: state.connections)
        (protocol,) = state.connections
        await until(lambda: protocol._pipeline._ahead)
        assert len(protocol._pipeline._queue) < 1000
        held.set()
        for n in range(3000):
            assert (await wire.answer()).body == b"/%d" % n


async def test_the_last_answer_before_the_end_says_so():
    """B23: a client that knows does not send another request into a connection that closes."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def work(connection, receive, send):
        begun.set()
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(Application(work), GatewayProtocol) as (port, state), Wire.to(port) as wire:
        wire.send(b"GET /x" + HEAD + b"\r\n")
        await begun.wait()
        (protocol,) = state.connections
        protocol.shutdown()
        go.set()
        assert (await wire.answer()).values(b"connection") == [b"close"]
        assert await wire.closed() == b""


async def test_a_client_that_pipelines_gets_its_last_answer():
    """P16, RFC 9112 §9.6: what stands behind a request that ends the connection is read, so that nothing resets it."""

    async def work(connection, receive, send):
        head = [(b"content-length", b"100000"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"x" * 100_000})

    application = Application(work)
    async with serving(application, GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send((b"GET /x" + HEAD + b"\r\n") * 20_000)
        answer = await wire.answer()
        assert len(answer.body) == 100_000
        assert await wire.closed() == b""
        assert len(application.seen) == 1


async def test_an_application_that_fails_is_answered_for():
    """O2: 500 before the answer's head, a cut connection after it; never silence."""

    async def early(connection, receive, send):
        raise RuntimeError

    async def late(connection, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    async with serving(Application(early), GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send(b"GET /x" + HEAD + b"\r\n")
        assert (await wire.answer()).status == 500
    async with serving(Application(late), GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send(b"GET /x" + HEAD + b"\r\n")
        assert not (await wire.closed()).endswith(b"0\r\n\r\n")


async def test_the_gateways_own_paths_are_as_strict(tmp_path):
    """P2, P6, P7, D1: under the prefix nothing is forwarded, and nothing malformed is answered as if it were not."""
    heads = {
        b"GET /_gateway/x HTTP/1.1\r\n\r\n": 400,
        b"GET /_gateway/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": 400,
        b"GET /_gateway/x HTTP/1.1\r\nHost: u@a\r\n\r\n": 400,
        b"GET /_gateway/x#f" + HEAD + b"\r\n": 400,
        b"TRACE /_gateway/x" + HEAD + b"\r\n": 501,
        b"GET /_gateway/x" + HEAD + b"a: b\r\n" * 200 + b"\r\n": 431,
        b"GET /_gateway/x" + HEAD + b"\r\n": 404,
    }
    async with house(tmp_path) as h:
        for data, status in heads.items():
            async with Wire.to(h.port) as wire:
                wire.send(data)
                assert (await wire.answer()).status == status, data


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_client_that_closes_its_side_has_left(version):
    """B22, P15: its request ends at once, and its part of the answer does not look complete."""
    told, begun = asyncio.Event(), asyncio.Event()

    async def work(connection, receive, send):
        connection.on_lost = told.set
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        begun.set()
        await told.wait()

    async with serving(Application(work), GatewayProtocol) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /x HTTP/" + version + b"\r\nHost: a\r\n\r\n")
        await begun.wait()
        writer.write_eof()
        async with asyncio.timeout(30):
            await told.wait()
            try:
                assert not (await reader.read()).endswith(b"0\r\n\r\n")
            except ConnectionResetError:
                pass  # RST says it as well
            else:
                assert version == b"1.1"
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


async def test_a_connection_made_during_the_drain_serves_one_request():
    """B23: uvicorn has walked over its connections by then; a TLS handshake may end after that."""
    async with serving(Application(), GatewayProtocol) as (port, state):
        state.draining = True
        async with Wire.to(port) as wire:
            wire.send(b"GET /x" + HEAD + b"\r\n")
            assert (await wire.answer()).values(b"connection") == [b"close"]
            assert await wire.closed() == b""


async def test_an_old_client_that_says_close_is_closed():
    """RFC 9112 §9.3: whatever else it says."""
    async with serving(Application(), GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await wire.answer()).values(b"connection") == [b"keep-alive"]
        wire.send(b"GET /x HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")
        assert (await wire.answer()).values(b"connection") == [b"close"]
        assert await wire.closed() == b""


async def test_nobody_is_told_to_go_on_after_a_refusal():
    """P13: the body was malformed before it was asked for."""

    async def work(connection, receive, send):
        await until(lambda: connection.failure)
        assert (await receive())["type"] == "http.disconnect"

    async with serving(Application(work), GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send(b"POST /x" + HEAD + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        answer = await wire.answer()
        assert (answer.status, answer.informational) == (400, [])


async def test_answers_that_nobody_reads_hold_back_the_next_requests():
    """D4, P16: a client that pipelines and does not read costs what waits for it, not what it has asked for."""
    size, many = 60_000, 500

    async def work(connection, receive, send):
        head = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"x" * size})

    application = Application(work)
    async with serving(application, GatewayProtocol) as (port, state):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
        writer.write((b"GET /x" + HEAD + b"\r\n") * many)
        await until(lambda: state.connections and next(iter(state.connections))._transport.write_paused)
        (protocol,) = state.connections
        seen = len(application.seen)
        waiting = protocol._transport._transport.get_write_buffer_size()
        assert waiting < 64 * 1024 + 2 * size
        assert seen < many
        answers = 0
        async with asyncio.timeout(60):
            while answers < many:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(size)
                answers += 1
        assert len(application.seen) == many
        writer.close()
        await writer.wait_closed()


async def test_what_stands_behind_an_upgrade_is_read_two_ahead_too():
    """D6: an upgrade that nobody takes up hides nothing."""
    held = asyncio.Event()

    async def work(connection, receive, send):
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    upgrade = b"GET /up" + HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with serving(Application(work), GatewayProtocol) as (port, state), Wire.to(port) as wire:
        wire.send(upgrade + b"".join(b"GET /%d" % n + HEAD + b"\r\n" for n in range(2000)))
        held.set()
        assert (await wire.answer()).status == 200
        held.clear()
        (protocol,) = state.connections
        assert len(protocol._pipeline._queue) < 1000
        held.set()
        for _ in range(2000):
            assert (await wire.answer()).status == 200


async def test_a_body_in_single_bytes_costs_little_more_than_one():
    """D4: what waits for the application is bounded in bytes, and not thirty times that in Python's objects."""
    read = asyncio.Event()
    got = bytearray()

    async def work(connection, receive, send):
        await read.wait()
        while True:
            message = await receive()
            got.extend(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    application = Application(work)
    async with serving(application, GatewayProtocol) as (port, _), Wire.to(port) as wire:
        wire.send(b"POST /x" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")
        await until(lambda: application.seen and application.seen[0]._buffered == 50_000)
        assert len(application.seen[0]._pieces) <= 65
        read.set()
        assert (await wire.answer()).status == 200
        assert bytes(got) == b"x" * 50_000
