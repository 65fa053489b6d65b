"""The APIs behind the gateway: ``[upstream]`` and ``[upstreams.NAME]``."""

from gateway.config.addresses import OriginUrl
from gateway.config.names import FieldName
from gateway.config.scalars import Boolean, Count, CountOrZero, Frozen, Name, Section, default, required
from gateway.config.secrets import CaFile
from gateway.config.units import PositiveDuration


class Upstream(Section):
    """An API that requests are forwarded to."""

    url: OriginUrl = required("http://127.0.0.1:9001")
    """The API's address, http or https. A path in it is put before every request's path."""
    ca_file: CaFile | None = None
    """PEM certificates of the CAs that the upstream's certificate is checked against. Absent: the system's."""
    connect_timeout: PositiveDuration = default("3s")
    """How long a connection (name, TCP, TLS) may take; then 502."""
    response_timeout: PositiveDuration = default("60s")
    """How long the response header may take; then 504."""
    idle_timeout: PositiveDuration = default("60s")
    """How long a body may make no progress."""
    max_connections: Count = default(256)
    """Connections to this upstream at once."""
    max_waiting: CountOrZero = default(1024)
    """Requests that may wait for a connection; one more is answered 503 `overloaded`."""
    preserve_host: Boolean = default(True)
    """`true`: the upstream sees the client's Host. `false`: its own, and `Location` is rewritten back."""
    identity_headers: Frozen[FieldName, Name] = default({})
    """Header names and the verified claims to put into them, such as `{ "X-User" = "sub" }`.
    Copies that a client sends are removed on every route."""
