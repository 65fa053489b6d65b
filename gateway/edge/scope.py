"""An ASGI 3 ``http`` scope of a parsed request."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gateway.edge.cycle import CYCLE, Cycle

_ASGI = {"version": "3.0", "spec_version": "2.3"}


@dataclass(frozen=True, slots=True)
class Place:
    """What all requests of one connection have in common."""

    server: tuple[str, int] | None
    client: tuple[str, int] | None
    scheme: str
    root_path: str
    state: dict[str, Any]

    @classmethod
    def of(cls, transport: asyncio.Transport, root_path: str, state: dict[str, Any]) -> "Place":
        """Where ``transport`` leads from and to."""
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        return cls(_address(transport, "sockname"), _address(transport, "peername"), scheme, root_path, state)

    @property
    def address(self) -> str:
        """The client's, for the log."""
        return self.client[0] if self.client is not None else "unknown"


def http_scope(request: Cycle, place: Place) -> dict[str, Any]:
    """The scope of one request; ``cycle_of`` finds it there."""
    raw_path, _, query = request.target.partition(b"?")
    if not raw_path.startswith(b"/") and b"://" in raw_path:  # absolute-form (RFC 9112 §3.2.2)
        raw_path = b"/" + raw_path.partition(b"://")[2].partition(b"/")[2]
    path = raw_path.decode("latin-1")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": request.version,
        "server": place.server,
        "client": place.client,
        "scheme": place.scheme,
        "method": request.method,
        "root_path": place.root_path,
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": request.headers,
        "state": place.state.copy() if place.state else {},
        CYCLE: request,
    }


def _address(transport: asyncio.Transport, which: str) -> tuple[str, int] | None:
    found = transport.get_extra_info(which)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple | list) and len(found) > 1 else None
