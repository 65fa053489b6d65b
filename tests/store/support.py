"""A shared store on a real server, and what it tells."""

import asyncio
import time
from contextlib import asynccontextmanager

from gateway.events import Noticed, StoreFailed
from gateway.store.health import Health
from gateway.store.links import Links
from gateway.store.redis import RedisEngine
from gateway.store.sealing import KeyRing
from gateway.store.settings import Access
from gateway.store.shared import SharedStore
from gateway.store.topology import Direct

OLD, NEW = b"o" * 32, b"n" * 32
KEY, OTHER, FAMILY = "aa" * 32, "bb" * 32, "cc" * 32
TOKEN, SUBJECT = b"eyJhbGciOi-canary-token", b"canary-ada@example.com"


class Told(list):
    """Every event that was emitted."""

    def __call__(self, event):
        self.append(event)

    def notices(self):
        return [event.what for event in self if isinstance(event, Noticed)]

    def failures(self):
        return [(event.operation, event.reason) for event in self if isinstance(event, StoreFailed)]


def direct(server, *, timeout=5.0, **access):
    """An engine on one server. Its patience is for a loaded machine; tests of time set their own."""
    return RedisEngine(Direct(server.address, Access(**access)), timeout=timeout)


@asynccontextmanager
async def opened(engine, *, keys=(NEW,), settling=0.0, told=None, clock=time.monotonic):
    """A shared store over ``engine``."""
    health = Health(Told() if told is None else told, clock, consequence="so be it")
    store = SharedStore(engine, KeyRing(keys), Links(b"i" * 32), health, settling=settling)
    try:
        yield store
    finally:
        await store.close()


def dump(server):
    """Every key with everything in it, as one text of bytes."""
    found = []
    with server.client() as client:
        for name in client.keys("*"):
            found.append(name)
            if client.type(name) == b"hash":
                found += [part for pair in client.hgetall(name).items() for part in pair]
            else:
                found.append(client.get(name))
    return b"\n".join(found)


async def eventually(ask, *, within=30.0):
    """What ``ask`` says as soon as it is true; only a test that fails waits so long."""
    async with asyncio.timeout(within):
        while not (found := await ask()):  # noqa: ASYNC110  # the server does not tell when
            await asyncio.sleep(0.01)
        return found
