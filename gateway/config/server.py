"""What faces the client and the operator: ``[server]``, ``[errors]``, ``[log]``."""

import ssl
from typing import Annotated, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator

from gateway.config.addresses import ListenAddress, Networks
from gateway.config.names import OwnPrefix, Pseudonym
from gateway.config.problems import bad
from gateway.config.scalars import (
    Boolean,
    Count,
    CountOrZero,
    Section,
    Text,
    between,
    default,
    one_of,
    required,
    whole,
)
from gateway.config.secrets import ExistingFile
from gateway.config.units import Duration, HeaderSize, PositiveDuration, Size

_QUOTABLE = r"^[ !#-\[\]-~]*$"
"""ASCII that needs no escape in a quoted string (RFC 9110 §5.6.4)."""
Workers = Annotated[int, whole(1, 1024), between(1, 1024)]


class Tls(Section):
    """The listener's certificate."""

    cert: ExistingFile = required("certs/gateway.pem")
    """The certificate chain in PEM, the server's own first."""
    key: ExistingFile = required("certs/gateway.key")
    """Its private key in PEM, not encrypted."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError):
            raise bad(
                "has a certificate and a key that do not fit, are not PEM, or a key that is encrypted",
                "name a PEM chain and its own unencrypted key",
            ) from None
        return self


class Server(Section):
    """The listener that clients use."""

    listen: ListenAddress = default("127.0.0.1:8080")
    """Where clients connect, as host:port. `0.0.0.0:8080` is every interface."""
    workers: Workers = default(1)
    """Worker processes, which share the address. More than 1 need a shared store, or each would refresh on its own.
    Limits of connections are each worker's own."""
    tls: Tls | None = None
    """Certificate and key of the listener. Absent: plain HTTP, for a front that terminates TLS."""
    trusted_proxies: Networks = default([])
    """Networks (CIDR) whose `Forwarded` and `X-Forwarded-*` fields are believed. Default: nobody's. Such a proxy
    must overwrite or remove both `Forwarded` and `X-Forwarded-For`, or its clients can write the other one."""
    header_timeout: PositiveDuration = default("10s")
    """How long a request's head may take, from its first byte or from the connection's beginning; then 408."""
    idle_timeout: PositiveDuration = default("75s")
    """How long a client's connection may rest between two requests."""
    body_timeout: PositiveDuration = default("30s")
    """How long a request's body may stand still; then 408. Only time in which the gateway would read counts."""
    send_timeout: PositiveDuration = default("30s")
    """How long a client may leave its answer unread; then it is cut."""
    min_data_rate: Size = default("240B")
    """Bytes a second that a body must bring and a reader take, over the span of those two. `0`: one will do."""
    max_connections: CountOrZero = default(0)
    """Clients connected at once; one more is answered 503. `0`: as many as the system's descriptors allow."""
    max_header_bytes: HeaderSize = default("32KiB")
    """The largest request header; a larger one is answered 431."""
    max_header_fields: Count = default(100)
    """The most fields in a request header; more are answered 431."""
    max_target_bytes: HeaderSize = default("16KiB")
    """The longest request target (path and query); a longer one is answered 414."""
    max_body: Size = default("0")
    """The largest request body; a larger one is answered 413. `0`: unlimited."""
    shutdown_timeout: Duration = default("20s")
    """How long requests and streams may go on after SIGTERM; token requests are awaited up to `late_answer`."""
    via: Pseudonym | None = None
    """The name of this gateway in `Via` (RFC 9110 §7.6.3); a request that bears it already is a loop: 508.
    Absent: `evergreen-` and eight random hex digits, new in each process. Replicas may share one."""
    gateway_prefix: OwnPrefix = default("/_gateway/")
    """The path prefix kept for the gateway's own endpoints (none yet); nothing under it reaches an upstream."""
    express: Boolean = default(True)
    """A request with a fresh token that needs no decision takes a shorter way through the gateway. `false`: every
    request goes through the ASGI application, with the same answers and for more processor time."""


Realm = Annotated[Text, Field(pattern=_QUOTABLE), WithJsonSchema({"type": "string", "pattern": _QUOTABLE})]


class Errors(Section):
    """How the gateway's own error answers look."""

    envelope: Annotated[Literal["problem", "result"], one_of("problem", "result")] = default("problem")
    """`problem`: RFC 9457 problem details. `result`: `{"code": 401, "message": "…", "data": null}`."""
    realm: Realm = default("gateway")
    """The realm in `WWW-Authenticate: Bearer realm="…"`."""


class Log(Section):
    """What is logged, and how. Tokens and secrets never are."""

    level: Annotated[Literal["debug", "info", "warning", "error"], one_of("debug", "info", "warning", "error")] = (
        default("info")
    )
    """The least severe event that is logged. `info`: refreshes and refusals; `debug`: every request."""
    format: Annotated[Literal["auto", "console", "json"], one_of("auto", "console", "json")] = default("auto")
    """`console` for people, `json` for machines (one object a line), `auto`: console in a terminal."""
