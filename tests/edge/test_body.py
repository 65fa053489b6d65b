"""The request's body: streamed once, kept for a second time as far as that is allowed."""

import asyncio

import pytest

from gateway.core.errors import ClientGone, GatewayError
from gateway.edge.body import RequestBody


class Client:
    """ASGI's ``receive``: parts of a body, then silence or a departure."""

    def __init__(self, *parts: bytes, leaves: bool = False) -> None:
        self.messages = [{"type": "http.request", "body": p, "more_body": True} for p in parts]
        if leaves:
            self.messages.append({"type": "http.disconnect"})
        else:
            self.messages[-1]["more_body"] = False
        self.taken = 0

    async def __call__(self):
        await asyncio.sleep(0)
        self.taken += 1
        return self.messages[self.taken - 1]


@pytest.fixture
def body():
    """Makes bodies, and gives up what they kept."""
    made: list[RequestBody] = []

    def make(client: Client, *, length: int | None = None, keep: int = 1 << 20, limit: int = 0) -> RequestBody:
        made.append(RequestBody(client, None, length=length, keep=keep, limit=limit))
        return made[-1]

    yield make
    for source in made:
        source.release()


async def whole(source: RequestBody) -> bytes:
    return b"".join([chunk async for chunk in source.chunks()])


async def test_a_body_passes_part_by_part(body):
    client = Client(b"ab", b"", b"cd")
    source = body(client)
    assert not source.asked_for
    first = await anext(aiter(source.chunks()))
    assert (first, client.taken, source.asked_for, source.complete) == (b"ab", 1, True, False)


async def test_a_kept_body_can_be_sent_again(body):
    """R18: and the client is asked for nothing twice."""
    client = Client(b"ab", b"cd")
    source = body(client)
    assert await whole(source) == b"abcd"
    assert source.replayable
    assert await whole(source) == b"abcd"
    assert client.taken == 2


async def test_a_second_sending_takes_over_in_the_middle(body):
    """R18, B15: an early 401: what was read is kept, what was not is read by the second sending alone."""
    source = body(Client(b"ab", b"cd", b"ef"))
    early = aiter(source.chunks())
    assert await anext(early) == b"ab"
    again = aiter(source.chunks())
    assert [await anext(again), await anext(again)] == [b"ab", b"cd"]
    assert [chunk async for chunk in early] == []
    assert [chunk async for chunk in again] == [b"ef"]


async def test_a_large_body_is_kept_in_a_file_and_is_the_same(body):
    parts = [bytes([n]) * 50_000 for n in range(8)]
    source = body(Client(*parts))
    assert await whole(source) == b"".join(parts)
    assert await whole(source) == b"".join(parts)
    assert source._kept._rolled
    source.release()
    source.release()
    assert source._kept is None


@pytest.mark.parametrize(("length", "keep"), [(None, 3), (4, 3), (None, 0)])
async def test_a_body_that_outgrows_what_is_kept_is_not_replayable(body, length, keep):
    """R18: its 401 is the answer. A declared length tells so from the start, and then nothing is kept."""
    source = body(Client(b"ab", b"cd"), length=length, keep=keep)
    assert await whole(source) == b"abcd"
    assert not source.replayable
    assert source._kept is None
    with pytest.raises(ValueError, match="not kept"):
        await whole(source)


async def test_a_body_larger_than_accepted_ends_its_request(body):
    """CONTRACT §5: 413, also where no length was declared."""
    assert await whole(body(Client(b"ab", b"c"), limit=3)) == b"abc"
    with pytest.raises(GatewayError) as caught:
        await whole(body(Client(b"ab", b"cd"), limit=3))
    assert caught.value.problem.code == "body_too_large"


async def test_a_client_that_leaves_in_the_middle_is_gone(body):
    with pytest.raises(ClientGone):
        await whole(body(Client(b"ab", leaves=True)))


@pytest.mark.parametrize("length", [3, 5])
async def test_a_body_that_is_not_as_long_as_it_said_never_looks_complete(body, length):
    """RFC 9112 §6.3."""
    with pytest.raises(ClientGone):
        await whole(body(Client(b"ab", b"cd"), length=length))
