"""Answers of unknown length for HTTP/1.0 clients, which know no chunks (RFC 9112 §6.1, §6.3).

uvicorn would send chunks all the same. The end of the connection ends such a body; uvicorn closes it, because it
keeps no HTTP/1.0 connection.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


def unchunked(cycle: RequestResponseCycle, application: Any) -> Any:
    """``application`` as an HTTP/1.0 client sees it. ``cycle`` is uvicorn's state of the one request."""

    async def wrapped(scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        bare = False

        async def write(message: Message) -> None:
            nonlocal bare
            if message["type"] == "http.response.start":
                bare = scope["method"] != "HEAD" and not _has_length(message)
                if bare:
                    # uvicorn frames no answer to HEAD, and writes no body for it: we do.
                    cycle.scope = {**cycle.scope, "method": "HEAD"}
            elif bare and not cycle.disconnected:
                cycle.transport.write(message.get("body", b""))
            await send(message)

        await application(scope, receive, write)

    return wrapped


def _has_length(message: Message) -> bool:
    return any(name.lower() == b"content-length" for name, _ in message["headers"])
