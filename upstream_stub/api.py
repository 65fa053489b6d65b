"""The API behind the gateway: who may call it, what it remembers of its callers, which endpoints it has."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from upstream_stub import api_answers as answers
from upstream_stub import api_streams as streams
from upstream_stub.asgi import ClientLeft, Endpoint, Exchange, Handler, Header

KEPT = 10_000
"""How many requests are remembered."""
CORS_HEADERS = ("authorization", "content-type")
"""The request fields that ``/cors`` allows across origins: nothing of a gateway's."""

_WATCHED: dict[str, Handler] = {
    "/slow": streams.slow,
    "/bytes": streams.numbered_bytes,
    "/stream": streams.stream,
    "/sse": streams.events,
    "/deny": answers.deny,
    "/unauthorized": answers.unauthorized,
    "/status/{code:int}": answers.status,
    "/break": streams.break_off,
    "/cookies": answers.cookies,
    "/redirect": answers.redirect,
    "/etag": answers.etag,
    "/range": answers.byte_range,
}
"""Endpoints that drop a request body. They are told when the client leaves."""
_READING: dict[str, Handler] = {
    "/echo": answers.echo,
    "/echo-stream": streams.echo_stream,
    "/upload": streams.upload,
    "/early-413": streams.early_413,
}
"""Endpoints that read the request body by themselves."""


@dataclass(eq=False)
class ApiRequest:
    """One request as it arrived."""

    method: str
    target: bytes
    """Byte for byte, query included."""
    path: str
    query: dict[str, str]
    headers: list[Header]
    """As sent: order, duplicates, case."""
    trailers: list[Header]
    body_length: int = 0
    """Bytes read of the body; complete once the request is."""

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the field ``name`` (in lower case), in order."""
        return [value for field_name, value in self.headers if field_name.lower() == name]


class Api:
    """An ASGI application (it is its own ``app``). Paths that it does not know are answered as ``/echo``.

    ``is_valid`` judges the access token of every request but to ``/health``, ``open_routes`` and CORS preflights;
    without it everybody may come in. ``scheme`` "" takes the token bare from ``token_field``.
    """

    def __init__(
        self,
        is_valid: Callable[[str], bool] | None = None,
        *,
        cors_origin: str = "https://app.example",
        open_routes: Mapping[str, ASGIApp] | None = None,
        token_field: bytes = b"authorization",
        scheme: str = "Bearer",
    ) -> None:
        self.requests: deque[ApiRequest] = deque(maxlen=KEPT)
        """The last requests, oldest first."""
        self.count = 0
        """All requests so far."""
        self.active = 0
        """Requests in progress."""
        self.cancelled = 0
        """Requests whose client left before its answer was complete."""
        self.max_active = 0
        self.app = self
        self._is_valid = is_valid
        self._token_field, self._scheme = token_field, scheme
        self._denied: set[str] = set()
        self._router = Router(
            self._routes(cors_origin, open_routes or {}),
            redirect_slashes=False,
            default=Endpoint(self._guarded(answers.echo)),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and remember it."""
        exchange = Exchange(scope, receive, send)
        record = _record(exchange)
        self.requests.append(record)
        self.count += 1
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        try:
            with suppress(ClientLeft):
                await self._router(scope, exchange.receive, exchange.send)
        finally:
            self.active -= 1
            self.cancelled += exchange.left
            record.body_length = exchange.body_length

    def _routes(self, cors_origin: str, open_routes: Mapping[str, ASGIApp]) -> list[Route]:
        watched = [Route(path, Endpoint(_watching(self._guarded(work)))) for path, work in _WATCHED.items()]
        reading = [Route(path, Endpoint(self._guarded(work))) for path, work in _READING.items()]
        cors = CORSMiddleware(
            Endpoint(self._guarded(answers.echo)),
            allow_origins=[cors_origin],
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=CORS_HEADERS,
            allow_credentials=True,
        )
        return [
            Route("/health", Endpoint(answers.health)),
            Route("/cors", cors),
            Route("/deny-once", Endpoint(self._deny_once)),
            *(Route(path, app) for path, app in open_routes.items()),
            *watched,
            *reading,
        ]

    def _token(self, exchange: Exchange) -> str | None:
        value = exchange.value(self._token_field)
        if value is None or not self._scheme:
            return value
        scheme, _, token = value.partition(" ")
        return token if scheme.lower() == self._scheme.lower() else None

    def _guarded(self, work: Handler) -> Handler:
        async def handle(exchange: Exchange) -> None:
            token = self._token(exchange)
            if self._is_valid is None or (token is not None and self._is_valid(token)):
                await work(exchange)
            else:
                await answers.refuse(exchange, None if token is None else "invalid_token")

        return handle

    async def _deny_once(self, exchange: Exchange) -> None:
        """401 the first time for each ``key`` of the query (without: for each token), afterwards as ``/echo``.

        The request body is read before the 401, unless ``early=1``.
        """
        key = exchange.query.get("key", self._token(exchange) or "")
        if key in self._denied:
            await self._guarded(answers.echo)(exchange)
            return
        self._denied.add(key)
        if "early" not in exchange.query:
            async for _chunk in exchange.chunks():
                pass
        await answers.refuse(exchange, "invalid_token")


def _watching(work: Handler) -> Handler:
    async def handle(exchange: Exchange) -> None:
        async def worked() -> None:
            await work(exchange)

        await exchange.while_here(worked())

    return handle


def _record(exchange: Exchange) -> ApiRequest:
    scope, wire = exchange.scope, exchange.wire
    if wire is None:
        query = scope["query_string"]
        target = scope.get("raw_path", exchange.path.encode()) + (b"?" + query if query else b"")
        return ApiRequest(exchange.method, target, exchange.path, exchange.query, list(exchange.headers), [])
    return ApiRequest(exchange.method, wire.target, exchange.path, exchange.query, wire.headers, wire.trailers)
