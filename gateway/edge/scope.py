"""An ASGI 3 ``http`` scope of a parsed request."""

from typing import Any
from urllib.parse import unquote

from gateway.edge.cycle import CYCLE, Cycle

_ASGI = {"version": "3.0", "spec_version": "2.3"}


def http_scope(request: Cycle) -> dict[str, Any]:
    """The scope of one request; ``cycle_of`` finds it there."""
    place = request.place
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
        "headers": list(request.block.headers),
        "state": place.state.copy() if place.state else {},
        CYCLE: request,
    }
