"""What a shared store is told."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.secret import Secret

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How every server of one store is talked to."""

    username: str | None = None
    password: Secret | None = None
    database: int = 0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    max_connections: int = 32
    """To each server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """Where the store is, how it is entered, and what happens without it."""

    kind: Literal["server", "sentinel", "cluster"]
    addresses: Sequence[Address]
    service: str = ""
    database: int = 0
    username: str | None = None
    password: Secret | None = None
    sentinel_password: Secret | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    max_connections: int = 32
    keys: Sequence[bytes] = field(repr=False)
    index_key: bytes = field(repr=False)
    """Marks links, under a purpose of its own."""
    settling: float
    """Seconds in which whoever holds a lease renews it for certain."""
    on_failure: Literal["refuse", "local"] = "refuse"
    max_entries: int = 100_000
    """Of each kind, that a process keeps while the store is away."""
