"""What one request's cycle needs of its connection, as small protocols."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gateway.duplex import Duplex
from gateway.edge.block import Block

if TYPE_CHECKING:
    from gateway.edge.cycle import Cycle


class Connection(Protocol):
    """What a cycle needs of the connection that it is on."""

    tasks: set[Any]
    """What the server waits for before it ends, and cancels when its patience does."""

    def go_on(self) -> None:
        """The application waits for more of the body."""

    def apply(self, cycle: "Cycle") -> None:
        """Let the application answer."""

    def answered(self, cycle: "Cycle") -> None:
        """The answer is complete."""

    def switch(self) -> Duplex:
        """Leave HTTP."""


class Transport(Protocol):
    """The way to the client."""

    write: Callable[[bytes], None]
    write_paused: bool
    on_room: Callable[[], None] | None
    """Called once, when there is room to write again."""

    def hold_back(self) -> None:
        """Read no more of the body for now."""

    async def drain(self) -> None:
        """Until the client has taken some of what waits for it, or has left."""

    def cut(self, *, reset: bool) -> None:
        """Close at once; ``reset``: with RST, where a plain end would look like the end of the body."""


class Request(Protocol):
    """A head, as it was read."""

    method: str
    target: bytes
    version: str
    block: Block
    framed: bool
    """A body was announced."""
    persists: bool
    """It keeps the connection."""
