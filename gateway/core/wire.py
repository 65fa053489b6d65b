"""Header fields as bytes of a message, either way (RFC 9110 §5, RFC 9112 §5). Pure.

What could be read as more than one field, or as the end of a head, is refused instead of mended (P17): for both
directions this is the last place that sees a field.
"""

from collections.abc import Sequence

from gateway.core.headers import Header

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The characters of a token (RFC 9110 §5.6.2)."""
VISIBLE = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
_TEXT = b"\t " + VISIBLE


class UnwritableFields(ValueError):  # noqa: N818  # named for what they are
    """A name is not a token, or a value has a control character. Quotes neither."""


def field_lines(headers: Sequence[Header]) -> bytes:
    """The fields, one a line, each line ended.

    Raises:
        UnwritableFields: see there.
    """
    if not headers:
        return b""
    names, values = zip(*headers, strict=True)
    if b"" in names or b"".join(names).translate(None, TOKEN) or b"".join(values).translate(None, _TEXT):
        raise UnwritableFields
    return b"\r\n".join([*map(b": ".join, headers), b""])
