"""Frames as bytes, right or wrong, and a port in memory."""

import asyncio
import struct
import tracemalloc
from contextlib import contextmanager

from gateway.duplex import StreamLost

MASK = b"\x01\x02\x03\x04"


def frame(opcode, payload=b"", *, fin=True, mask=MASK, bits=0, form=None, length=None):
    """One frame. ``form`` 126 or 127 forces a longer form of the length; ``length`` announces another."""
    size = len(payload) if length is None else length
    form = form or (size if size < 126 else 126 if size < 65536 else 127)
    head = struct.pack("!BB", (0x80 if fin else 0) | bits | opcode, (0x80 if mask else 0) | form)
    if form == 126:
        head += struct.pack("!H", size)
    elif form == 127:
        head += struct.pack("!Q", size)
    if not mask:
        return head + payload
    keys = (mask * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")
    return head + mask + mixed.to_bytes(len(payload), "big")


def server_frame(opcode, payload=b"", **how):
    """A frame as servers send it."""
    return frame(opcode, payload, mask=None, **how)


def close(code=None, reason=b"", **how):
    """A Close frame."""
    return frame(8, b"" if code is None else struct.pack("!H", code) + reason, **how)


@contextmanager
def bounded_memory(size):
    """What is allocated inside and kept is at most ``size`` bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[0] - before < size
    finally:
        tracemalloc.stop()


class FakePort:
    """A byte stream in memory. ``say`` is the peer's side; ``heard`` is what it was sent."""

    def __init__(self):
        self._queue = asyncio.Queue()
        self._ended = False
        self.on_shutdown = None
        self.heard = b""
        self.changed = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.pending = 0
        self.ended = ""
        """``finished`` or ``aborted``."""
        self.lost = False
        self.answers_end = True
        """The peer closes when we do."""
        self.reads = 0
        self.within = None
        """Seconds that it had for its end."""

    def say(self, *pieces):
        for piece in pieces:
            self._queue.put_nowait(piece)

    def leave(self):
        """The peer ends, in order."""
        self._queue.put_nowait(b"")

    def vanish(self):
        """The peer is gone: writing fails, too."""
        self.lost = True
        self.leave()

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def hears(self, data):
        """Return once ``data`` is among what the peer got."""
        await self.until(lambda: data in self.heard)

    # The gateway's side.

    async def read(self):
        if self._ended:
            return b""
        self.reads += 1
        data = await self._queue.get()
        self._ended = not data
        return data

    async def write(self, data):
        if not self.push(data):
            raise StreamLost
        await self.room.wait()

    def push(self, data):
        if self.lost:
            return False
        self.heard += data
        self.changed.set()
        return True

    async def finish(self, within):
        self.within = within
        if not self.ended:
            self.ended = "finished"
            self.changed.set()
            if not self.answers_end:
                await asyncio.sleep(within)

    def close(self, grace):
        self.ended = self.ended or "closed"
        self.changed.set()

    async def closed(self):
        assert self.ended

    def abort(self):
        if not self.ended:
            self.ended = "aborted"
            self.changed.set()
        self._queue.put_nowait(b"")
