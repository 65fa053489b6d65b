"""Connections to one Redis or Valkey server: redis-py's, in a pool of ours.

redis-py's own clients retry, wait and rediscover on their own terms; here a command is sent once, its caller sets
the time, and a command that is cancelled closes its connection, because an answer to it may still come.
"""

import asyncio
import ssl
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from gateway.core.records import StoreUnavailable
from gateway.store.settings import Access, Address


class _SharedTls(SSLConnection):
    """With one context for all: making one reads the system's certificates anew, 20 ms of everybody's time."""

    def __init__(self, context: ssl.SSLContext, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ssl_context.context = context


def dial(address: Address, access: Access) -> AbstractConnection:
    """A connection, not yet made."""
    common: dict[str, Any] = {
        "db": access.database,
        "username": access.username,
        "password": access.password.reveal() if access.password is not None else None,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "protocol": 2,
        "driver_info": None,
    }
    if isinstance(address, str):
        return UnixDomainSocketConnection(path=address, **common)
    host, port = address
    if access.tls is not None:
        return _SharedTls(access.tls, host=host, port=port, **common)
    return Connection(host=host, port=port, **common)


class Server:
    """The connections to one server. A connection that is free is used again, the last one first."""

    def __init__(self, address: Address, access: Access, *, master: bool = False) -> None:
        """Args: master: ask each new connection whether it leads to a master, and refuse it otherwise."""
        self.address = address
        self._access = access
        self._master = master
        self._places = asyncio.Semaphore(access.max_connections)
        self._free: list[AbstractConnection] = []
        self._closed = False

    async def call(self, *command: str | bytes | int, asking: bool = False) -> Any:
        """Send the command and return its answer.

        ``asking``: the server imports the slot (Redis Cluster specification, ASK redirection).

        Raises:
            RedisError: what the server answered.
            OSError: the connection could not be made or broke.
        """
        async with self._places:
            connection = self._free.pop() if self._free else dial(self.address, self._access)
            try:
                await self._ready(connection)
            except BaseException:  # also where the server refuses us: it may have half let us in
                await self._back(connection, usable=False)
                raise
            try:
                if asking:
                    await converse(connection, "ASKING")
                answer = await converse(connection, *command)
            except ResponseError as error:
                await self._back(connection, usable=not isinstance(error, ReadOnlyError))
                raise
            except BaseException:
                await self._back(connection, usable=False)
                raise
            await self._back(connection, usable=True)
            return answer

    async def close(self) -> None:
        """Close what is free now, and what is in use once it is free."""
        self._closed = True
        while self._free:
            await self._free.pop().disconnect(nowait=True)

    async def _ready(self, connection: AbstractConnection) -> None:
        if connection.is_connected and await connection.can_read():
            await connection.disconnect(nowait=True)  # the server has closed it meanwhile
        if connection.is_connected:
            return
        await connect(connection)
        if self._master and (await converse(connection, "ROLE"))[0] != b"master":
            raise ReadOnlyError("not a master")

    async def _back(self, connection: AbstractConnection, *, usable: bool) -> None:
        if usable and not self._closed:
            self._free.append(connection)
        else:
            await connection.disconnect(nowait=True)


async def connect(connection: AbstractConnection) -> None:
    """Make the connection, with the server's consent (AUTH, SELECT)."""
    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py left this one out


async def converse(connection: AbstractConnection, *command: str | bytes | int) -> Any:
    """One command and its answer, on a connection that is made."""
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()


def unavailable(error: BaseException) -> StoreUnavailable:
    """What is told of a failure: its class. A text may quote a key, an address or a password (X9).

    redis-py calls most of them ConnectionError; what it was made from says more.
    """
    if isinstance(error, TimeoutError):
        return StoreUnavailable("timeout")
    if not isinstance(error, RedisError | OSError):
        return StoreUnavailable("broken answer")
    while isinstance(deeper := error.__cause__ or error.__context__, RedisError | OSError):
        error = deeper
    return StoreUnavailable(type(error).__name__)
