"""The client's connection: a strict HTTP/1.1 protocol, given to uvicorn as its ``http=`` class.

Here is what asyncio and uvicorn see of it. What the bytes mean and how they are answered is ``pipeline``'s.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.core import errors
from gateway.duplex import Duplex
from gateway.edge.listener import SHORT_LINGER, ListenerSettings
from gateway.edge.pipeline import Pipeline
from gateway.edge.place import Place
from gateway.edge.refusal import refusal
from gateway.edge.sending import Sending
from gateway.edge.transport import ClientTransport

_LINGERING = 32
"""Refused for being too many, and lingering: at once, so many. They hold what we are short of (B27)."""


class GatewayProtocol:
    """One client's connection.

    An ``asyncio.Protocol`` by its methods, all that event loops ask for: a class that is compiled may have no base
    that is not (docs/adr/0011).
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        settings: ListenerSettings | None = None,
    ) -> None:
        """As uvicorn calls it; ``settings`` are ours."""
        if not config.loaded:
            config.load()
        self._app: Callable[..., Any] = config.loaded_app
        self._root_path = config.root_path
        self._state = server_state
        self._connections = cast("set[Any]", server_state.connections)
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._settings = settings or ListenerSettings()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, behind its TLS handshake if there is one."""
        settings, loop = self._settings, self._loop
        plain = cast("asyncio.Transport", transport)
        sending = Sending(plain, loop, settings.send_timeout, settings.min_data_rate)
        self._transport = ClientTransport(plain, loop, sending)
        place = Place.of(plain, self._root_path, self._app_state)
        self._pipeline = Pipeline(
            self._app,
            settings,
            place,
            self._transport,
            server=self._state,
            loop=loop,
            switch=self._switch,
            express=getattr(self._app, "express", None) if settings.express else None,
        )
        self._connections.add(self)
        if 0 < settings.max_connections < len(self._connections):
            self._turn_away(place)
        else:
            # uvicorn walks over its connections once; those made since then have to ask.
            self._pipeline.begin(draining=getattr(self._state, "draining", False))

    def _turn_away(self, place: Place) -> None:
        """Too many are connected. Some may read our answer in peace, the others may be reset while they send."""
        self._transport.write(refusal(self._app, errors.OVERLOADED, place.address))
        room = len(self._connections) <= self._settings.max_connections + _LINGERING
        self._transport.close(linger=min(SHORT_LINGER, self._settings.linger) if room else None)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client's."""
        self._pipeline.received(data)

    def eof_received(self) -> None:
        """The client has closed its side. asyncio then closes ours."""
        self._pipeline.half_closed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The connection is over."""
        self._connections.discard(self)
        self._transport.let_go()
        self._pipeline.lost()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._transport.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self._transport.resume_writing()

    def shutdown(self) -> None:
        """The server drains."""
        self._pipeline.drain()

    def _switch(self, leftover: bytes) -> Duplex:
        """The transport gets another protocol, this one has had its day."""
        self._connections.discard(self)
        duplex = Duplex(self._transport.let_go(), leftover)
        duplex.on_lost = lambda: self._connections.discard(duplex)
        self._connections.add(duplex)
        return duplex
