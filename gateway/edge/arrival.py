"""What a request says before anything is decided: its target, its host, its size, its rule, its credentials."""

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers, values
from gateway.core.paths import split_target
from gateway.edge.protocol import ClientConnection

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
"""RFC 9110 §7.2: a host and a port; no userinfo, no path."""

_REFUSED = frozenset({"CONNECT", "TRACE"})
_VERSIONS = frozenset({"1.0", "1.1"})
"""The parser also takes HTTP/0.9 and HTTP/2.0 on a request line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a client may send; bytes; 0: any."""

    header_bytes: int = 32 * 1024
    target_bytes: int = 16 * 1024
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, checked."""

    method: str
    target: bytes
    """Origin form, the client's bytes."""
    path: bytes
    """The target without its query."""
    host: bytes
    headers: Headers
    has_body: bool
    """A body was announced, be it an empty one."""
    content_length: int | None
    """None: chunked, or no body."""


def read_head(scope: MutableMapping[str, Any], connection: ClientConnection | None, limits: Limits) -> Head:
    """The checked head of an ASGI request. Raises: GatewayError: it is refused."""
    method: str = scope["method"]
    if method in _REFUSED:
        raise GatewayError(errors.METHOD_NOT_SUPPORTED)
    version: str = scope["http_version"]
    if connection is not None and version not in _VERSIONS:
        raise GatewayError(errors.BAD_REQUEST.because("The gateway speaks HTTP/1.1. Use it."))
    sent = connection.target if connection is not None else _rebuilt(scope)
    if len(sent) > limits.target_bytes:
        raise GatewayError(errors.TARGET_TOO_LONG)
    headers: Headers = list(scope["headers"])
    if sum(len(n) + len(v) + 4 for n, v in headers) > limits.header_bytes:
        raise GatewayError(errors.HEADERS_TOO_LARGE)
    target, authority = _split(sent, method)
    host = _host(headers, version)
    length = _length(headers, limits)
    chunked = _chunked(headers)
    if chunked and length is not None:
        raise GatewayError(errors.BAD_REQUEST.because("A body has a length or chunks, not both. Send one of them."))
    has_body = length is not None or chunked
    return Head(method, target, target.partition(b"?")[0], authority or host, headers, has_body, length)


def _rebuilt(scope: MutableMapping[str, Any]) -> bytes:
    """The target under a server that is not ours: as near to the client's bytes as ASGI keeps it."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _split(sent: bytes, method: str) -> tuple[bytes, bytes | None]:
    parts = split_target(sent)
    if parts is None or (parts[0] == b"*" and method != "OPTIONS"):
        raise GatewayError(errors.BAD_REQUEST.because("The request target must be a path. Correct it."))
    return parts


def _host(headers: Headers, version: str) -> bytes:
    hosts = values(headers, b"host")
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise GatewayError(errors.BAD_REQUEST.because("The request must have exactly one Host field."))
    if hosts and not _HOST.match(hosts[0]):
        raise GatewayError(errors.BAD_REQUEST.because("The Host field is not a host name and port."))
    return hosts[0] if hosts else b""


def _length(headers: Headers, limits: Limits) -> int | None:
    lengths = values(headers, b"content-length")
    if not lengths:
        return None
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,19}", lengths[0]):
        raise GatewayError(errors.BAD_REQUEST.because("The Content-Length is not one number."))
    length = int(lengths[0])
    if limits.body_bytes and length > limits.body_bytes:
        raise GatewayError(errors.BODY_TOO_LARGE)
    return length


def _chunked(headers: Headers) -> bool:
    """RFC 9112 §6.1: the parser takes chunks off, and nothing else."""
    codings = values(headers, b"transfer-encoding")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise GatewayError(errors.BAD_REQUEST.because("The only Transfer-Encoding is chunked. Send the body so."))
    return bool(codings)
