"""What a line is made of: the parts that all lines share, and the one request that it is for."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.headers import ResponseFilter
from gateway.core.heads import Head
from gateway.core.hops import Via
from gateway.core.secret import Secret
from gateway.edge.block import Block
from gateway.edge.body import RequestBody
from gateway.edge.cors import Cors
from gateway.edge.cycle import Cycle
from gateway.edge.passage import Passage
from gateway.edge.ports import Credentials, Refresher, Tunnels
from gateway.edge.problems import Problems
from gateway.edge.telling import new_request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Fittings:
    """What all lines of one gateway share."""

    credentials: Credentials
    refresher: Refresher
    problems: Problems
    cors: Cors
    via: Via
    response_filter: ResponseFilter
    vary: bytes
    """The names that carry credentials, as a list field's value."""
    timeout: float
    """``auth_server.timeout``: how long, from its arrival, a request waits for a refresh; seconds."""
    ahead_wait: float
    tunnels: Tunnels
    clock: Callable[[], float] = time.time
    """Unix seconds."""


class Arrival:
    """One request, read and matched. Nobody changes it."""

    __slots__ = ("_request_id", "at", "block", "body", "cycle", "head", "passage", "refresh", "upgrade")

    def __init__(
        self,
        head: Head,
        block: Block,
        passage: Passage,
        body: RequestBody | None,
        cycle: Cycle | None,
        *,
        upgrade: bool,
        at: float,
    ) -> None:
        self.head = head
        self.block = block
        """Its fields."""
        self.passage = passage
        self.body = body
        self.refresh: Secret | None = passage.carried.refresh
        self.upgrade = upgrade
        """It asks for another protocol."""
        self.at = at
        """Monotonic seconds: when the request arrived."""
        self.cycle = cycle
        """The request under our own protocol; None under another server, where nothing can be upgraded."""
        self._request_id = ""

    @property
    def request_id(self) -> str:
        """Made when it is first asked for: most requests are told of nowhere."""
        if not self._request_id:
            self._request_id = new_request_id()
        return self._request_id
