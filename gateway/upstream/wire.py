"""A request head as bytes (RFC 9112 §2-§6). Pure.

Everything is written as it was given: target, order, case, duplicates, bytes above 127 (P10, P11). What could
be read as more than one request is refused instead of mended (P17): this is the last place that sees the request
line; ``gateway.core.wire.request_lines`` has seen the fields.
"""

from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.core.methods import IDEMPOTENT
from gateway.core.wire import TOKEN, VISIBLE, FieldLines

REPEATABLE = frozenset(method.encode() for method in IDEMPOTENT)
"""Methods that a client may repeat by itself (RFC 9110 §9.2.2)."""

_USUAL = REPEATABLE | {b"POST", b"PATCH"}

LAST_CHUNK = b"0\r\n\r\n"


def request_head(method: bytes, target: bytes, fields: FieldLines, framing: bytes = b"") -> bytes:
    """Request line and fields, ``framing`` last, up to the empty line.

    Raises:
        GatewayError: with ``BAD_REQUEST``, if method or target has a byte that its grammar does not allow.
    """
    if method not in _USUAL and (not method or method.translate(None, TOKEN)):
        raise GatewayError(BAD_REQUEST)
    if not target or target.translate(None, VISIBLE):
        raise GatewayError(BAD_REQUEST)
    return b"".join((method, b" ", target, b" HTTP/1.1\r\n", fields, framing, b"\r\n"))


def body_framing(length: int | None) -> bytes:
    """The field that frames a body (RFC 9112 §6): its length, or chunks when it is not known."""
    return b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length


def chunk(data: bytes) -> tuple[bytes, bytes, bytes]:
    """One chunk of a chunked body (RFC 9112 §7.1) in pieces, so that large data need not be copied."""
    return b"%x\r\n" % len(data), data, b"\r\n"
