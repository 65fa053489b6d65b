"""A gateway that is composed as ``gateway run`` does it, in the test's event loop, and that exits at once."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway import server
from gateway.app import Gateway, build
from gateway.config import load
from gateway.events import Event


class PromptServer(server.GatewayServer):
    """Exits within milliseconds, where uvicorn sleeps for two tenths of a second: there are many tests."""

    async def main_loop(self) -> None:
        while not self.should_exit:  # noqa: ASYNC110  # uvicorn knows no event
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self.server_state
        for listener in (*self.servers, *(sockets or [])):
            listener.close()
        self.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:  # noqa: ASYNC110  # the same
                    await asyncio.sleep(0.001)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()

    def drain(self) -> None:
        """Take leave of all clients: what a signal begins with."""
        self._shared.draining = True
        for connection in list(self.server_state.connections):
            connection.shutdown()


@asynccontextmanager
async def running(
    path: Path, events: list[Event], environ: Mapping[str, str] | None = None, *, verbose: bool = True
) -> AsyncIterator[tuple[Gateway, PromptServer, str]]:
    """A gateway from a file, its server, and its URL; without ``verbose``, plain requests are only counted."""
    config = load(path, environ or {})
    gateway = build(config, events.append, verbose=verbose)
    settings = server.settings(config, gateway.application)
    prompt = PromptServer(settings, events.append, handshake_timeout=config.server.header_timeout)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    task = asyncio.create_task(prompt._serve(sockets=[sock]))
    while not prompt.started:
        await asyncio.sleep(0.001)
        if task.done():
            task.result()
    scheme = "https" if config.server.tls is not None else "http"
    try:
        yield gateway, prompt, f"{scheme}://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        prompt.should_exit = True
        await task
        sock.close()
