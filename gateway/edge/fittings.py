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


@dataclass(slots=True, kw_only=True)
class Arrival:
    """One request, read and matched. Nobody changes it; frozen it would cost twice as much to make."""

    head: Head
    block: Block
    """Its fields."""
    passage: Passage
    body: RequestBody | None
    refresh: Secret | None
    upgrade: bool
    """It asks for another protocol."""
    request_id: str
    at: float
    """Monotonic seconds: when the request arrived."""
    cycle: Cycle | None = None
    """The request under our own protocol; None under another server, where nothing can be upgraded."""
