"""Opening a connection: names, addresses, TLS, and one clock over all of it."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import cast

from gateway.core.errors import Overloaded
from gateway.descriptors import exhausted
from gateway.upstream.connection import Connection
from gateway.upstream.names import Names
from gateway.upstream.settings import UpstreamSettings
from gateway.upstream.tls import connect_tls


async def dial(connection: Connection, settings: UpstreamSettings, names: Names) -> bool:
    """Give ``connection`` a transport within ``connect_timeout``, trying every address of the host in turn.

    False: unresolvable, refused, silent, or not to be trusted. The cause is dropped, because its text quotes
    the address. Cancelled, it leaves no socket behind once ``connection.abort()`` has been called.

    Raises:
        Overloaded: this system has nothing left to connect with (B27).
    """
    try:
        async with asyncio.timeout(settings.connect_timeout):
            await _connect(connection, settings, await names.addresses())
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
        if exhausted(error):
            raise Overloaded from None
    else:
        return True
    await asyncio.sleep(0)  # or compiled callers would raise theirs in the context of this one (docs/adr/0011)
    return False


async def _connect(connection: Connection, settings: UpstreamSettings, addresses: Sequence[str]) -> None:
    connection.plain = settings.tls is None
    *others, last = addresses
    for address in others:
        # A silent address must not use up the time of those behind it.
        with contextlib.suppress(OSError):
            async with asyncio.timeout(settings.connect_timeout / len(addresses)):
                return await _connect_to(address, connection, settings)
    return await _connect_to(last, connection, settings)


async def _connect_to(address: str, connection: Connection, settings: UpstreamSettings) -> None:
    protocol = cast("asyncio.Protocol", connection)
    if settings.tls is None:
        await asyncio.get_running_loop().create_connection(lambda: protocol, address, settings.port)
        return
    await connect_tls(
        protocol,
        address,
        settings.port,
        context=settings.tls,
        server_hostname=settings.server_hostname or settings.host,
        cut=connection.end_is_cut,
    )
