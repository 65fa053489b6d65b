"""A gateway in front of an API that does exactly what a test says, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.house import House, house
from tests.upstream.raw import Handler, Server


@asynccontextmanager
async def before(
    tmp_path: Path, handler: Handler, *, upstream: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[House, Server]]:
    """``handler`` is run for each connection that the gateway opens; ``more`` is as for ``house``."""
    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    address = {"url": f"http://127.0.0.1:{server.port}"}
    try:
        async with house(tmp_path, upstream={**address, **(upstream or {})}, **more) as h:
            yield h, server
    finally:
        listener.close()
        await server.stop()
        await listener.wait_closed()
