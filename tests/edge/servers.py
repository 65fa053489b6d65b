"""uvicorn with any protocol class, around any application, in the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from tests.e2e.support import until


@asynccontextmanager
async def serving(application: Any, http: Any) -> AsyncIterator[tuple[int, ServerState]]:
    """The port, and uvicorn's state of its connections."""
    options: dict[str, Any] = {
        "lifespan": "off",
        "ws": "none",
        "loop": "none",
        "log_config": None,
        "proxy_headers": False,
    }
    server = uvicorn.Server(uvicorn.Config(application, http=http, **options))
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio: TCP_NODELAY
    sock.bind(("127.0.0.1", 0))
    task = asyncio.create_task(server._serve(sockets=[sock]))
    await until(lambda: server.started)
    try:
        yield sock.getsockname()[1], server.server_state
    finally:
        server.should_exit = True
        await task
        sock.close()
