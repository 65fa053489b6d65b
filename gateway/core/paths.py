"""Which paths two servers would read differently, and the one reading that rules use (N2, N3)."""

import re
from ipaddress import IPv6Address
from urllib.parse import unquote_to_bytes

_PLAIN = re.compile(rb"(?=/)(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*)*/?\Z")
"""A path with nothing to decode and nothing to doubt: the way nearly every request takes."""

_BAD = re.compile(rb"%(?![0-9A-Fa-f]{2})|\x20")
_ENCODED_DELIMITER = re.compile(rb"%(?:2[ef]|5c)", re.IGNORECASE)
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_DOUBTFUL = re.compile(
    rb"//|/\.{1,2}(?:/|\Z)|[;\\\x00-\x1f\x7f]"
    rb"|[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]"
)
"""The second line: ASCII in more bytes than it needs, which careless decoders of UTF-8 accept (RFC 3629 §10)."""

_AUTHORITY = re.compile(
    rb"(?:(?:[A-Za-z0-9._~!$&'()*+;=-]++|%[0-9A-Fa-f]{2})++|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?\Z"
)
_MAX_PORT = 65535


def canonical(path: bytes) -> bytes | None:
    r"""``path`` (without the query) as rules read it, or None where it is ambiguous.

    Percent-encoding is undone once (RFC 3986 §6.2.2.2). A path is ambiguous where another server may see other
    segments in it: ``//``, ``.`` and ``..`` segments, ``;``, ``\``, encoded ``.`` ``/`` or ``\``, double encoding,
    a broken escape, control characters, overlong UTF-8. An encoded space is none of these.
    """
    if _PLAIN.match(path):
        return path
    if not path.startswith(b"/") or _BAD.search(path) or _ENCODED_DELIMITER.search(path):
        return None
    decoded = unquote_to_bytes(path)
    return None if _ESCAPE.search(decoded) or _DOUBTFUL.search(decoded) else decoded


def is_authority(value: bytes) -> bool:
    """``value`` is a host and perhaps a port, as in ``Host`` (RFC 3986 §3.2.2, §3.2.3): no userinfo, no path.

    A comma is legal there and refused: to a server that joins repeated fields it is two hosts.
    """
    found = _AUTHORITY.match(value)
    if found is None:
        return False
    literal, port = found.groups()
    return (literal is None or _is_ipv6(literal)) and (not port or int(port) <= _MAX_PORT)


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode("ascii"))
    except ValueError:
        return False
    return True


def split_target(target: bytes, method: str = "") -> tuple[bytes, bytes | None] | None:
    """A request target in origin form, with the authority that an absolute form named; None: no such form.

    RFC 9112 §3.2: origin-form, absolute-form of http(s), and ``OPTIONS *`` (the caller checks the method). A
    fragment is never part of a target. ``OPTIONS`` of an absolute form without a path is ``*`` (§3.2.4).
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
    if not is_authority(authority):
        return None
    if method == "OPTIONS" and not tail:
        return b"*", authority
    return (tail if tail.startswith(b"/") else b"/" + tail), authority


def strip(target: bytes, prefix: bytes) -> bytes:
    """``target`` without the path prefix, which ends at a segment's end; without it, ``target`` itself."""
    if not prefix or not target.startswith(prefix):
        return target
    rest = target[len(prefix) :]
    if rest[:1] == b"/":
        return rest
    return b"/" + rest if rest[:1] in (b"", b"?") else target
