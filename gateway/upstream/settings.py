"""What one upstream is and how patient we are with it. Times are seconds, sizes bytes, rates none."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """One upstream (CONTRACT §6 ``[upstream]``). The address stays out of the repr, and so out of logs."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """None: plain HTTP. A context decides about CAs; it should check host names."""
    server_hostname: str | None = field(default=None, repr=False)
    """The name for SNI and the certificate; None: ``host``."""
    connect_timeout: float = 3.0
    """For name resolution, TCP and the TLS handshake together."""
    response_timeout: float = 60.0
    """Until the response head, counted from the last progress of the upload; also how long a request queues."""
    idle_timeout: float = 60.0
    """Between two reads of a body, counted only while we wait for the upstream."""
    max_connections: int = 256
    max_waiting: int = 1024
    """Requests that may queue for a connection; one more is ``Overloaded`` at once."""
    lanes: Mapping[int, int | None] = field(default_factory=lambda: {0: None})
    """The rules that lead here, by number, each with the most connections that it may hold; None: its share."""
    keepalive: float = 60.0
    """How long an unused connection is kept."""
    unsafe_reuse: float = 1.0
    """A request that must not be repeated takes a pooled connection only if it idled for less than this:
    servers close idle connections unasked, and a POST lost in that race cannot be sent again (B16)."""
    max_head_bytes: int = 64 * 1024
    """Of one response head; nginx's default is 4-8 KiB, Envoy's 60 KiB."""
    max_buffered: int = 64 * 1024
    """Reading from the upstream pauses while more than this waits for the client (D4)."""
