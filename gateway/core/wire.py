"""Header fields as bytes of a message, either way (RFC 9110 §5, RFC 9112 §5). Pure.

What could be read as more than one field, or as the end of a head, is refused instead of mended (P17): for both
directions this is the last place that sees a field.
"""

from collections.abc import Sequence
from typing import NewType

from gateway.core.headers import Header

FieldLines = NewType("FieldLines", bytes)
"""Lines of ``request_lines``: what is of this type may be written, and written again, unchecked."""

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The characters of a token (RFC 9110 §5.6.2)."""
VISIBLE = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
TEXT = b"\t " + VISIBLE
"""What a field's value is made of (RFC 9110 §5.5)."""
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


class UnwritableFields(ValueError):  # noqa: N818  # named for what they are
    """A name is not a token, a value has a control character, or a request's fields frame its body. Quotes none."""


def field_lines(headers: Sequence[Header]) -> bytes:
    """The fields, one a line, each line ended.

    Raises:
        UnwritableFields: see there.
    """
    names = [name for name, _ in headers]
    lines = b"\r\n".join([*map(b": ".join, headers), b""])
    # One look at all of it: there is no control character but those that end the lines.
    odd = lines.translate(None, TEXT) != b"\r\n" * len(names) or b"".join(names).translate(None, TOKEN)
    if odd or b"" in names:
        raise UnwritableFields
    return lines


def request_lines(headers: Sequence[Header]) -> FieldLines:
    """The fields of a request whose body's framing is the sender's to write (RFC 9112 §6).

    Raises:
        UnwritableFields: see ``field_lines``; or one of them is ``Content-Length`` or ``Transfer-Encoding``.
    """
    for name, _ in headers:
        if name.lower() in _FRAMING:
            raise UnwritableFields
    return FieldLines(field_lines(headers))
