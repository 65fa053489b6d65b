"""B27: this process has nothing left to connect with. The upstream is not to blame, and it passes."""

import asyncio
import errno
import socket

import pytest

from gateway.core.errors import Overloaded, UpstreamUnreachable
from gateway.descriptors import exhausted
from tests.scarcity import no_descriptors

from .certificates import server_context
from .raw import Server, always_ok, eventually, get, serving, upstream_of
from .test_dial import OURS


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_without_descriptors_a_request_is_refused_and_later_served(tls):
    """B27, D5: 503 overloaded, with every place free again."""
    async with (
        serving(always_ok, tls=server_context() if tls else None) as server,
        upstream_of(server, **(OURS if tls else {})) as upstream,
    ):
        with no_descriptors():
            for _ in range(3):
                with pytest.raises(Overloaded):
                    await upstream.send(get())
            assert (upstream.active, upstream.waiting, server.connections) == (0, 0, 0)
        assert (await upstream.send(get())).status == 200


async def test_without_descriptors_what_is_open_still_serves():
    """B27: a kept connection needs no descriptor."""
    async with serving(always_ok) as server, upstream_of(server) as upstream:
        await upstream.send(get())
        with no_descriptors():
            assert [(await upstream.send(get())).status for _ in range(3)] == [200] * 3
        assert server.connections == 1


async def test_without_descriptors_a_name_that_cannot_be_asked_for_is_not_blamed():
    """B27: resolvers report what they cannot open as a name that they cannot find."""
    async with upstream_of(Server(always_ok), host="api.invalid", port=80, connect_timeout=10) as upstream:
        with no_descriptors(), pytest.raises(Overloaded):
            await upstream.send(get())
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(get())


async def test_those_who_wait_behind_a_failed_connect_are_told_too():
    """B27, D5: nobody waits for a place that nobody gives back."""
    async with serving(always_ok) as server, upstream_of(server, max_connections=1) as upstream:
        with no_descriptors():
            tasks = [asyncio.create_task(upstream.send(get())) for _ in range(20)]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(o) for o in outcomes} == {Overloaded}
        await eventually(lambda: upstream.active == 0)
        assert (await upstream.send(get())).status == 200


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL"])
def test_our_own_want_is_told_apart(name):
    """B27"""
    assert exhausted(OSError(getattr(errno, name), "text"))


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(errno.ECONNREFUSED, "x"), TimeoutError(), socket.gaierror(-2, "x"), UnicodeError()],
    ids=repr,
)
def test_the_upstreams_failures_are_not_ours(error):
    """B12"""
    assert not exhausted(error)
