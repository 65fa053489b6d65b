"""One tunnel: what one side says, the other hears, frame by frame, until its end.

How a tunnel ends:

- One side says Close: the other hears it, with its code and reason, and may answer.
- One side vanishes (end of TCP, reset, silence): the other's connection ends without a Close frame. Its
  application sees 1006, as it would without a gateway; a Close frame would make the end look like a clean one.
- One side breaks the protocol or a limit: it hears 1002, 1007 or 1009. The other hears that its peer is gone:
  the upstream 1001, the client 1011.
- The gateway ends it (shutdown: 1001, an expired token: 4401): both hear the same.

From its first word to the end of both connections it takes ``close_timeout`` at most.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.core.websocket import TunnelEnd
from gateway.duplex import StreamLost
from gateway.websocket.frames import Close, Violation
from gateway.websocket.keepalive import Keepalive
from gateway.websocket.settings import TunnelSettings
from gateway.websocket.side import Port, Side

_CLIENT_FAILED = Close(1001, b"client connection failed")
_UPSTREAM_FAILED = Close(1011, b"upstream connection failed")
_NO_PONG = Close(1011, b"keepalive ping timeout")
_NO_STATUS = 1005
_ABNORMAL = 1006
_VANISHED = Close(_ABNORMAL)
"""Never on the wire."""

_Pump = asyncio.Task[bool]


class Relay:
    """Two sides and what goes between them."""

    def __init__(self, client: Port, upstream: Port, settings: TunnelSettings) -> None:
        self._settings = settings
        self._client = Side(client, is_client=True, max_message=settings.max_message)
        self._upstream = Side(upstream, is_client=False, max_message=settings.max_message)
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited: set[Side] = set()
        """Sides that hear a Close of ours and may answer it."""
        self._end: TunnelEnd | None = None
        self._cut_at: float | None = None
        """When its ending has taken ``close_timeout``; the event loop's seconds."""

    def stop(self, close: Close) -> None:
        """End it: both sides hear ``close``. Only the first time counts."""
        if not self._stopped.done():
            self._note("gateway", close)
            for side in (self._client, self._upstream):
                side.tell(close)
                self._awaited.add(side)
            self._stopped.set_result(None)

    async def run(self) -> TunnelEnd:
        """Relay until both sides are closed. Cancelled, it cuts both."""
        client, upstream = self._client, self._upstream
        pumps = {
            client: asyncio.create_task(self._pump(client, upstream)),
            upstream: asyncio.create_task(self._pump(upstream, client)),
        }
        alive = [self._keepalive(client), self._keepalive(upstream)]
        try:
            await self._converse(pumps)
            await _halt(pumps.values())
            await asyncio.gather(self._leave(client), self._leave(upstream))
        finally:
            for keepalive in alive:
                keepalive.stop()
            client.port.abort()
            upstream.port.abort()
            await _halt(pumps.values())
        return self._end or TunnelEnd(client.name, _ABNORMAL)

    async def _pump(self, source: Side, sink: Side) -> bool:
        """Everything that ``source`` says goes to ``sink``. True: up to its Close; False: it ended without one.

        Raises:
            Violation: ``source`` broke the protocol.
            StreamLost: ``sink`` is gone.
        """
        while await source.receive():
            more = True
            while more:
                data, more = source.batch(sink)
                if data:
                    await sink.send(data)
                if more:
                    await asyncio.sleep(0)
            if source.said is not None:
                self._note(source.name, source.said)
                sink.tell(source.said)
                return True
        return False

    async def _converse(self, pumps: Mapping[Side, _Pump]) -> None:
        """Return when nothing more is to go from side to side."""
        going, patience = dict(pumps), None
        over = False
        while going and not over:
            waited: set[asyncio.Future[Any]] = {*going.values(), self._stopped}
            await asyncio.wait(waited, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            done = [side for side, pump in going.items() if pump.done()]
            # Nothing done: one has said Close, and the other does not answer.
            over = self._stopped.done() or not done
            for side in done:
                over = self._is_over(side, going.pop(side)) or over
            patience = self._patience()

    def _patience(self) -> float:
        """Seconds that are left for the ending, which begins when this is first asked."""
        now = asyncio.get_running_loop().time()
        if self._cut_at is None:
            self._cut_at = now + self._settings.close_timeout
        return max(self._cut_at - now, 0)

    def _is_over(self, side: Side, pump: _Pump) -> bool:
        """Whether the end of what ``side`` says is the end of the other side, too."""
        try:
            said_close = pump.result()
        except Violation as violation:
            other = self._upstream if side.is_client else self._client
            self._note(side.name, violation.close)
            side.tell(violation.close)
            other.tell(_CLIENT_FAILED if side.is_client else _UPSTREAM_FAILED)
            self._awaited.add(other)
            return True
        except StreamLost:  # the other side's pump has its last words
            return False
        if not said_close:
            self._note(side.name, _VANISHED)
        return not said_close

    def _note(self, by: str, close: Close) -> None:
        """The first end is the one that is told of."""
        if self._end is None:
            self._end = TunnelEnd(by, _NO_STATUS if close.code is None else close.code)

    def _keepalive(self, side: Side) -> Keepalive:
        settings, loop = self._settings, asyncio.get_running_loop()
        other = self._upstream if side.is_client else self._client
        return Keepalive(side, other, settings.ping_interval, settings.ping_timeout, self._fell_silent, loop=loop)

    def _fell_silent(self, side: Side) -> None:
        if not self._stopped.done():
            self._note(side.name, _VANISHED)
            side.tell(_NO_PONG)
            self._stopped.set_result(None)

    async def _leave(self, side: Side) -> None:
        """Close one connection as its state allows (RFC 6455 §7.1.1)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience()):
                if side in self._awaited:
                    await side.farewell()
                if side.said is not None and not side.is_client:
                    await side.ended()  # the server closes first
        await side.leave(self._patience())


async def _halt(pumps: Iterable[_Pump]) -> None:
    """Stop reading and writing; what the pumps still had to say has been heard or does not matter any more."""
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
