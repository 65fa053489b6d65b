"""An ASGI 3 ``http`` scope of a parsed request."""

from typing import Any
from urllib.parse import unquote

from gateway.edge.cycle import CYCLE, Cycle
from gateway.edge.place import Place

_ASGI = {"version": "3.0", "spec_version": "2.3"}


class ConnectionScope:
    """What all scopes of one connection have in common."""

    __slots__ = ("_common", "_state")

    def __init__(self, place: Place) -> None:
        self._state = place.state
        self._common: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "server": place.server,
            "client": place.client,
            "scheme": place.scheme,
            "root_path": place.root_path,
        }

    def of(self, request: Cycle) -> dict[str, Any]:
        """The scope of one request; ``cycle_of`` finds it there."""
        raw_path, _, query = request.target.partition(b"?")
        if raw_path[:1] != b"/" and b"://" in raw_path:  # absolute-form (RFC 9112 §3.2.2)
            raw_path = b"/" + raw_path.partition(b"://")[2].partition(b"/")[2]
        path = raw_path.decode("latin-1")
        scope = self._common.copy()
        scope["http_version"] = request.version
        scope["method"] = request.method
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        scope["headers"] = list(request.block.headers)
        scope["state"] = self._state.copy() if self._state else {}
        scope[CYCLE] = request
        return scope
