"""What all requests of one connection have in common."""

import asyncio
from typing import Any

Address = tuple[str, int]


class Place:
    """Where requests come from and to."""

    __slots__ = ("address", "client", "root_path", "scheme", "server", "state")

    def __init__(
        self,
        server: Address | None,
        client: Address | None,
        scheme: str,
        root_path: str = "",
        state: dict[str, Any] | None = None,
    ) -> None:
        """Args: as the keys of an ASGI scope."""
        self.server = server
        self.client = client
        self.scheme = scheme
        self.root_path = root_path
        self.state = state
        self.address = client[0] if client is not None else "unknown"
        """The client's."""

    @classmethod
    def of(cls, transport: asyncio.Transport, root_path: str, state: dict[str, Any]) -> "Place":
        """Where ``transport`` leads from and to."""
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        return cls(_address(transport, "sockname"), _address(transport, "peername"), scheme, root_path, state)


def _address(transport: asyncio.Transport, which: str) -> Address | None:
    found = transport.get_extra_info(which)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple | list) and len(found) > 1 else None
