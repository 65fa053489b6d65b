"""How a request to the authorization server is sent, and how that may end: whole, surely not sent, or unknown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.core.headers import Header, tokens
from gateway.core.token_requests import TokenRequest

OURS: Final = ((b"user-agent", b"evergreen-gateway"), (b"accept-encoding", b"identity"), (b"connection", b"close"))
"""Fields of every request. The connection carries one (docs/adr/0003)."""


class Unsent(Exception):  # noqa: N818  # an outcome, named for what it says about the flight
    """No byte of the request left: it may be made again. The text quotes nothing."""


class Exhausted(Unsent):
    """This system has nothing left to connect with (B27)."""


class Lost(Exception):  # noqa: N818
    """Bytes may have left and no whole answer came: whether the server acted is not known."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Its body may hold tokens and is not shown."""

    status: int
    headers: Sequence[Header] = field(repr=False)
    body: bytes = field(repr=False)


class Sender(Protocol):
    """Sends requests to the authorization server, each over a connection of its own.

    It follows no redirect (R15, B7), keeps no cookie, and heeds no proxy of the environment (X8).
    """

    async def send(
        self, request: TokenRequest, *, deadline: float, max_body: int, send_by: float = math.inf
    ) -> Reply:
        """The answer to ``request``: begun by ``send_by``, whole by ``deadline``, at most ``max_body`` bytes.

        Both moments are of the running loop's clock.

        Raises:
            Unsent: it failed before a byte was sent; ``Exhausted``, for want of descriptors or ports.
            Lost: it failed later, or the answer is too late, too large or encoded.
        """


def refuse_coding(headers: Sequence[Header]) -> None:
    """We asked for no encoding: one that expands is refused unread (B6).

    Raises:
        Lost: the answer has one.
    """
    if any(coding != b"identity" for coding in tokens(headers, b"content-encoding")):
        raise Lost("the answer is encoded")
