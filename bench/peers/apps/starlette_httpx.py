"""A proxy as most people write it: Starlette, and an httpx client that all requests share."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bench.peers.apps.verifying import HOP_BY_HOP, Verifier

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_UPSTREAM = os.environ.get("BENCH_UPSTREAM", "")


@asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[None]:
    application.state.verifier = Verifier()
    async with httpx.AsyncClient(base_url=_UPSTREAM, timeout=60, trust_env=False) as client:
        application.state.client = client
        yield


async def _forward(request: Request) -> Response:
    state = request.app.state
    if not state.verifier.accepts(request.headers.get("authorization", "")):
        return JSONResponse({"error": "invalid_token"}, 401)
    fields = [(name, value) for name, value in request.headers.raw if name.decode() not in HOP_BY_HOP]
    body = request.stream() if request.method in {"POST", "PUT", "PATCH"} else None
    outgoing = state.client.build_request(
        request.method,
        httpx.URL(path=request.url.path, query=request.url.query.encode()),
        headers=fields,
        content=body,
    )
    answer = await state.client.send(outgoing, stream=True)
    relayed = StreamingResponse(
        answer.aiter_raw(), status_code=answer.status_code, background=BackgroundTask(answer.aclose)
    )
    relayed.raw_headers = [(n, v) for n, v in answer.headers.raw if n.decode().lower() not in HOP_BY_HOP]
    return relayed


app = Starlette(routes=[Route("/{path:path}", _forward, methods=_METHODS)], lifespan=_lifespan)
