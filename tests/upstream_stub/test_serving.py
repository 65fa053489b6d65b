"""The listener: it goes and comes back on the same port, and leaves nothing behind."""

import asyncio
import socket
import ssl

import httpx
import pytest
import trustme

from tests.upstream_stub.conftest import hang_up, raw_request, until
from upstream_stub import Api, Serving


def tasks():
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_it_listens_on_a_free_port_and_closes_for_good(http):
    before = tasks()
    async with Serving(Api()) as listener:
        assert listener.url == f"http://127.0.0.1:{listener.port}"
        answer = await http.get(f"{listener.url}/health")
        assert answer.status_code == 200
        assert "date" in answer.headers
    with pytest.raises(httpx.ConnectError):
        await http.get(f"{listener.url}/health")
    assert tasks() == before


async def test_a_stopped_listener_refuses_and_takes_the_same_port_again(http):
    async with Serving(Api()) as listener:
        port = listener.port
        for _ in range(3):
            await listener.stop()
            with pytest.raises(httpx.ConnectError):
                await http.get(f"{listener.url}/health")
            await listener.start()
            assert (await http.get(f"{listener.url}/health")).status_code == 200
        assert listener.port == port


async def test_nobody_can_take_the_port_of_a_stopped_listener():
    async with Serving(Api()) as listener:
        await listener.stop()
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", listener.port))
        await listener.start()


async def test_a_port_in_use_is_an_error():
    async with Serving(Api()) as listener:
        with pytest.raises(OSError, match="in use"):
            await Serving(Api(), port=listener.port).start()


async def test_starting_and_closing_twice_changes_nothing(http):
    listener = Serving(Api())
    await listener.start()
    await listener.start()
    assert (await http.get(f"{listener.url}/health")).status_code == 200
    await listener.close()
    await listener.close()


async def test_stopping_cuts_open_streams_and_idle_connections():
    api = Api()
    async with Serving(api) as listener:
        idle, idle_writer = await raw_request(listener, b"")
        stream, stream_writer = await raw_request(listener, b"GET /sse HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.readuntil(b"event 0")
        await until(lambda: listener.connections == 2)
        async with asyncio.timeout(3):
            await listener.stop()
            await stream.read()
            await idle.read()
        assert (listener.connections, api.active) == (0, 0)
        await hang_up(stream_writer)
        await hang_up(idle_writer)


async def test_stopping_lets_an_answer_in_progress_finish(http):
    api = Api()
    async with Serving(api) as listener:
        answer = asyncio.create_task(http.get(f"{listener.url}/slow?seconds=0.02"))
        await until(lambda: api.active)
        await listener.stop()
        assert (await answer).status_code == 200


async def test_stopping_cancels_an_application_that_does_not_notice():
    stopped = asyncio.Event()

    async def stubborn(_scope, _receive, _send):
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with Serving(stubborn) as listener:
        _, writer = await raw_request(listener, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: listener.connections)
        async with asyncio.timeout(5):
            await listener.stop()
        assert stopped.is_set()
        await hang_up(writer)


async def test_answers_are_not_held_back_by_nagle():
    """A listening socket made without its protocol's number leaves TCP_NODELAY off in asyncio."""
    async with Serving(Api()) as listener:
        _, writer = await raw_request(listener, b"")
        await until(lambda: listener.connections)
        (connection,) = listener._server.server_state.connections
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await hang_up(writer)


async def test_it_speaks_tls(tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    key.write_bytes(certificate.private_key_pem.bytes())
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with (
        Serving(Api(), certfile=chain, keyfile=key) as listener,
        httpx.AsyncClient(verify=trust, trust_env=False) as client,
    ):
        assert listener.url.startswith("https://")
        assert (await client.get(f"{listener.url}/health")).status_code == 200
        await listener.stop()
        await listener.start()
        assert (await client.get(f"{listener.url}/health")).status_code == 200


async def test_the_wire_is_told_as_it_was(client):
    """Case, order, duplicates and trailers, which uvicorn changes or mixes."""
    reader, writer = await raw_request(
        client.listener,
        b"POST /a/../b%2e?x=[1] HTTP/1.1\r\nHost: x\r\nX-Two: 2\r\nx-TWO: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\nAuthorization: Bearer late\r\n\r\n",
    )
    await reader.readuntil(b"\r\n\r\n")
    await hang_up(writer)
    (seen,) = client.api.requests
    assert seen.target == b"/a/../b%2e?x=[1]"
    assert seen.headers[1:3] == [(b"X-Two", b"2"), (b"x-TWO", b"1")]
    assert seen.values(b"authorization") == []
    assert seen.trailers == [(b"Authorization", b"Bearer late")]
