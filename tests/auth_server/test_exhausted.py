"""B27: we have no descriptor left to ask the authorization server with."""

import asyncio

import pytest

from gateway.auth_server.sender import Exhausted, Unsent
from gateway.core.grants import Grant, Unavailable
from tests.scarcity import no_descriptors

from .support import answering, serving
from .test_client import AT, GRANTED, RT, client
from .test_sender import OK, get, soon


async def test_without_descriptors_nothing_is_sent_and_we_are_to_blame(sender):
    """B27: not the server, which a breaker would shut out."""
    async with serving(answering(OK)) as (url, seen):
        with no_descriptors(), pytest.raises(Exhausted):
            await sender.send(get(url), deadline=soon(), max_body=100)
        assert seen.connections == 0
        assert (await sender.send(get(url), deadline=soon(), max_body=100)).status == 200


async def test_a_server_that_is_away_is_not_our_want(sender):
    """B1"""
    async with serving(answering(OK)) as (url, _):
        pass
    with pytest.raises(Unsent) as refused:
        await sender.send(get(url), deadline=soon(), max_body=100)
    assert not isinstance(refused.value, Exhausted)


async def test_a_refresh_without_descriptors_is_unambiguous_and_works_later():
    """B27, R10: the token was not presented."""
    async with serving(answering(GRANTED)) as (url, seen):
        desk = client(url)
        with no_descriptors():
            found = await desk.redeem(RT, AT)
        assert isinstance(found, Unavailable)
        assert (found.exhausted, found.ambiguous, seen.connections) == (True, False, 0)
        assert isinstance(await desk.redeem(RT, AT), Grant)


async def test_a_descriptor_that_comes_free_in_time_serves_the_refresh():
    """B27: what failed before a byte was sent is tried again."""
    async with serving(answering(GRANTED)) as (url, seen):
        with no_descriptors():
            asking = asyncio.create_task(client(url, attempts=1000).redeem(RT, AT))
            await asyncio.sleep(0.01)
            assert not asking.done()
        assert isinstance(await asking, Grant)
        assert seen.connections == 1
