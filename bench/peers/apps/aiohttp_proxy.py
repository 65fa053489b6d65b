"""``python -m bench.peers.apps.aiohttp_proxy``: the same proxy with aiohttp on both sides."""

import asyncio
import os

import aiohttp
import uvloop
from aiohttp import web

from bench.peers.apps.verifying import HOP_BY_HOP, Verifier

_BACKLOG = 4096


class Proxy:
    """One client session for all requests."""

    def __init__(self, session: aiohttp.ClientSession, upstream: str) -> None:
        self._session, self._upstream, self._verifier = session, upstream, Verifier()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward one request and relay its answer."""
        if not self._verifier.accepts(request.headers.get("Authorization", "")):
            return web.json_response({"error": "invalid_token"}, status=401)
        fields = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        body = request.content if request.can_read_body else None
        url = self._upstream + request.raw_path
        async with self._session.request(
            request.method, url, headers=fields, data=body, allow_redirects=False
        ) as answer:
            return await _relay(request, answer)


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    relayed = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in HOP_BY_HOP:
            relayed.headers.add(name, value)
    await relayed.prepare(request)
    async for piece in answer.content.iter_any():
        await relayed.write(piece)
    await relayed.write_eof()
    return relayed


async def _serve() -> None:
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=jar, auto_decompress=False, skip_auto_headers=("User-Agent", "Accept")
    ) as session:
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", Proxy(session, os.environ["BENCH_UPSTREAM"]).handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(os.environ["BENCH_PORT"]), backlog=_BACKLOG).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
