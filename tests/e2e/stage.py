"""An upstream on a stage: it keeps every request that reaches it, and does with each what a play says."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from tests.e2e.corpus import strict
from tests.e2e.corpus.replies import Reply
from tests.e2e.corpus.traffic import Act
from tests.e2e.engine import pieces

PLAIN = Act(Reply(body=b"plain"))


@dataclass(frozen=True)
class Arrived:
    """One request as the upstream got it."""

    head: bytes
    body: bytes
    first: bool
    """It opened its connection."""


class Stage:
    """Takes nothing but strict HTTP/1.1. Each request meets the next of ``acts``, or else a plain answer."""

    def __init__(self) -> None:
        self.acts: deque[Act] = deque()
        self.arrived: list[Arrived] = []
        self.faults: list[str] = []
        """Bytes that are not strict HTTP/1.1."""
        self.authority = b""
        """Its address and port, and what ``{upstream}`` in an answer stands for."""
        self._resting: dict[asyncio.StreamWriter, None] = {}

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Stage"]:
        """On a free port."""
        stage = cls()
        listener = await asyncio.start_server(stage._serve, "127.0.0.1", 0)
        stage.authority = b"127.0.0.1:%d" % listener.sockets[0].getsockname()[1]
        try:
            yield stage
        finally:
            listener.close()
            await listener.wait_closed()

    @property
    def url(self) -> str:
        return f"http://{self.authority.decode()}"

    @property
    def resting(self) -> int:
        """Connections that wait for a request, as far as they are in order."""
        return len(self._resting)

    def meanwhile(self, data: bytes, *, closes: bool) -> None:
        """Say this on every connection that waits for a request."""
        if not data and not closes:
            return
        resting, self._resting = list(self._resting), {}
        for writer in resting:
            with suppress(ConnectionError, RuntimeError):  # uvloop's word for a connection that is closed
                writer.write(data)
                if closes:
                    writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except ConnectionError:
            pass
        except strict.NotStrictError as fault:
            self.faults.append(repr(fault))
        finally:
            self._resting.pop(writer, None)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data, first = b"", True
        while True:
            if not data:
                self._resting[writer] = None
            more = await reader.read(1 << 16)
            if not more:
                return
            self._resting.pop(writer, None)
            data += more
            while data and (found := strict.request(data)) is not None:
                head = data.partition(b"\r\n\r\n")[0]
                message, data = found
                self.arrived.append(Arrived(head, message.body, first))
                first = False
                if not await self._answer(message.method, writer):
                    return

    async def _answer(self, method: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        act = self.acts.popleft() if self.acts else PLAIN
        if act.silent:
            return False
        reply = replace(act.reply, method=method)
        await pieces(writer, reply.wire.replace(b"{upstream}", self.authority), list(act.cuts))
        return not reply.closes
