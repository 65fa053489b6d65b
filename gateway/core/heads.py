"""What a request's head says before anything is decided: its target, its host, its framing, its size. Pure.

RFC 9112 §3 and §6, read strictly: whatever two servers could frame or route differently is refused (P1-P7).
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.paths import is_authority, split_target

_REFUSED = frozenset({"CONNECT", "TRACE"})
_VERSIONS = frozenset({"1.0", "1.1"})
"""Parsers also take HTTP/0.9 and HTTP/2.0 on a request line."""

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""Each of them announces a body (RFC 9112 §6)."""
_READ = FRAMING | {b"host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a client may send; bytes, but for the count. Of fields and of a body, 0 is any."""

    header_bytes: int = 32 * 1024
    header_fields: int = 100
    target_bytes: int = 16 * 1024
    body_bytes: int = 0


class Fields(NamedTuple):
    """What a head's fields say of the message, whatever its first line."""

    host: bytes
    """Empty: none, from an HTTP/1.0 client."""
    has_body: bool
    """A body was announced, be it an empty one."""
    content_length: int | None
    """None: chunked, or no body."""
    size: int = 0
    """Bytes, as ``Limits.header_bytes`` counts them."""


class Head:
    """A request's head, checked. Nobody changes it."""

    __slots__ = ("fields", "headers", "host", "method", "path", "target", "version")

    def __init__(
        self, method: str, target: bytes, host: bytes, headers: Headers, fields: Fields, *, version: str
    ) -> None:
        self.method = method
        self.target = target
        """Origin form, the client's bytes."""
        self.path = target.partition(b"?")[0]
        """The target without its query."""
        self.host = host
        self.headers = headers
        self.fields = fields
        """What they say; but for the host, which the target may name too."""
        self.version = version
        """The client's HTTP version, ``1.1`` or ``1.0``."""

    def with_headers(self, headers: Headers) -> "Head":
        """The same, but for these."""
        return Head(self.method, self.target, self.host, headers, self.fields, version=self.version)

    @property
    def has_body(self) -> bool:
        """A body was announced, be it an empty one."""
        return self.fields.has_body

    @property
    def content_length(self) -> int | None:
        """Its length; None: chunked, or no body."""
        return self.fields.content_length


def read_head(
    method: str, sent: bytes, version: str, headers: Headers, limits: Limits, *, fields: Fields | None = None
) -> Head:
    """The checked head of a request.

    Args:
        method: as sent.
        sent: the request target, the client's bytes.
        version: as ``1.1``.
        headers: names in lower case.
        limits: what is too much.
        fields: what ``read_fields`` said of the same headers, version and limits before.

    Raises:
        GatewayError: it is refused.
    """
    if method in _REFUSED:
        raise GatewayError(errors.METHOD_NOT_SUPPORTED)
    if version not in _VERSIONS:
        raise _bad("The gateway speaks HTTP/1.1. Use it.")
    if len(sent) > limits.target_bytes:
        raise GatewayError(errors.TARGET_TOO_LONG)
    if fields is None:
        fields = read_fields(headers, version, limits)
    if sent[:1] == b"/" and b"#" not in sent:  # what ``_split`` says of nearly all
        return Head(method, sent, fields.host, headers, fields, version=version)
    target, authority = _split(sent, method)
    return Head(method, target, authority or fields.host, headers, fields, version=version)


def read_fields(headers: Headers, version: str, limits: Limits) -> Fields:
    """What the fields of a head of HTTP ``version`` say of the message. Raises: GatewayError: it is refused."""
    seen, size = _survey(headers, limits)
    host = _host(seen.get(b"host", []), version)
    length = _length(seen.get(b"content-length"), limits)
    chunked = _chunked(seen.get(b"transfer-encoding"), version)
    if chunked and length is not None:
        raise _bad("A body has a length or chunks, not both. Send one of them.")
    return Fields(host, length is not None or chunked, length, size)


def _bad(detail: str) -> GatewayError:
    return GatewayError(errors.BAD_REQUEST.because(detail))


def _survey(headers: Headers, limits: Limits) -> tuple[dict[bytes, list[bytes]], int]:
    """One walk over the fields: their size, their number, and the values of those that frame and route."""
    seen: dict[bytes, list[bytes]] = {}
    size = 4 * len(headers)
    for name, value in headers:
        size += len(name) + len(value)
        if name in _READ:
            seen.setdefault(name, []).append(value)
    if size > limits.header_bytes or 0 < limits.header_fields < len(headers):
        raise GatewayError(errors.HEADERS_TOO_LARGE)
    return seen, size


def _split(sent: bytes, method: str) -> tuple[bytes, bytes | None]:
    parts = split_target(sent, method)
    if parts is None or (parts[0] == b"*" and method != "OPTIONS"):
        raise _bad("The request target must be a path. Correct it.")
    return parts


def _host(hosts: list[bytes], version: str) -> bytes:
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise _bad("The request must have exactly one Host field.")
    if hosts and not is_authority(hosts[0]):
        raise _bad("The Host field is not a host name and port.")
    return hosts[0] if hosts else b""


def _length(lengths: list[bytes] | None, limits: Limits) -> int | None:
    if lengths is None:
        return None
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,19}[ \t]*", lengths[0]):
        raise _bad("The Content-Length is not one number.")
    length = int(lengths[0])
    if limits.body_bytes and length > limits.body_bytes:
        raise GatewayError(errors.BODY_TOO_LARGE)
    return length


def _chunked(codings: list[bytes] | None, version: str) -> bool:
    """RFC 9112 §6.1: the parser takes chunks off, and nothing else; HTTP/1.0 knows none."""
    if codings is None:
        return False
    if len(codings) > 1 or codings[0].strip(b" \t").lower() != b"chunked" or version == "1.0":
        raise _bad("The only Transfer-Encoding is chunked, in HTTP/1.1. Send the body so.")
    return True
