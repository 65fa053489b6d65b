"""Which paths two servers would read differently, and the one reading that rules use (N2, N3)."""

import re
from urllib.parse import unquote_to_bytes

_PLAIN = re.compile(rb"(?=/)(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*)*/?\Z")
"""A path with nothing to decode and nothing to doubt: the way nearly every request takes."""

_BAD = re.compile(rb"%(?![0-9A-Fa-f]{2})|\x20")
_ENCODED_DELIMITER = re.compile(rb"%(?:2[ef]|5c)", re.IGNORECASE)
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_DOUBTFUL = re.compile(rb"//|/\.{1,2}(?:/|\Z)|[;\\\x00-\x1f\x7f]")


def canonical(path: bytes) -> bytes | None:
    r"""``path`` (without the query) as rules read it, or None where it is ambiguous.

    Percent-encoding is undone once (RFC 3986 §6.2.2.2). A path is ambiguous where another server may see other
    segments in it: ``//``, ``.`` and ``..`` segments, ``;``, ``\``, encoded ``.`` ``/`` or ``\``, double encoding,
    a broken escape, control characters. An encoded space is none of these.
    """
    if _PLAIN.match(path):
        return path
    if not path.startswith(b"/") or _BAD.search(path) or _ENCODED_DELIMITER.search(path):
        return None
    decoded = unquote_to_bytes(path)
    return None if _ESCAPE.search(decoded) or _DOUBTFUL.search(decoded) else decoded


def split_target(target: bytes) -> tuple[bytes, bytes | None] | None:
    """A request target in origin form, with the authority that an absolute form named; None: no such form.

    RFC 9112 §3.2: origin-form, absolute-form of http(s), and ``OPTIONS *`` (the caller checks the method). A
    fragment is never part of a target.
    """
    if b"#" in target:
        return None
    if target.startswith(b"/") or target == b"*":
        return target, None
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return None
    end = min((i for i in (rest.find(b"/"), rest.find(b"?")) if i >= 0), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    if not authority or b"@" in authority:
        return None
    return (tail if tail.startswith(b"/") else b"/" + tail), authority


def strip(target: bytes, prefix: bytes) -> bytes:
    """``target`` without the path prefix, which ends at a segment's end; without it, ``target`` itself."""
    if not prefix or not target.startswith(prefix):
        return target
    rest = target[len(prefix) :]
    if rest[:1] == b"/":
        return rest
    return b"/" + rest if rest[:1] in (b"", b"?") else target
