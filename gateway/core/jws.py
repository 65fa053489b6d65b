"""The outer shape of a signed token (RFC 7515 §7.1), judged before any key is looked at.

PyJWT looks at every byte in Python before the signature (61 µs for 1 KB, 2 ms for 62 KB). So the length is
capped and the shape matched by one regular expression first (1.4 µs).
"""

import base64
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.core import strict_json
from gateway.core.bounded import Learnt
from gateway.core.tokens import Rejected

MAX_TOKEN: Final = 16 * 1024
"""Characters. Fronts commonly cap one header line at 8 KiB (nginx, Apache httpd); twice that is generous."""

MAX_PAYLOAD: Final = 64 * 1024
"""Bytes of a payload after decompression: four times the longest token."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_LAST: Final[Mapping[int, str]] = {2: "AQgw", 3: "AEIMQUYcgkosw048"}
"""By how many characters are left over from whole groups of four: the last ones that leave no bit unused."""

_HEADERS: Final[Learnt[str, Mapping[str, object]]] = Learnt(64)
_LONGEST_HEADER: Final = 512
"""Characters of a header that is remembered: an issuer's tokens have the same few."""

_WINDOW_BITS: Final[Mapping[object, tuple[int, ...]]] = {
    "DEF": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
    "GZIP": (16 + zlib.MAX_WBITS,),
}
"""By ``zip``. RFC 7516 §4.1.3 means raw DEFLATE by DEF; jjwt wraps it as zlib does (RFC 1950)."""


@dataclass(frozen=True, slots=True, repr=False)
class CompactJws:
    """The three parts of a token that looks like a JWS. Nothing in it is verified yet."""

    header: Mapping[str, object]
    payload: bytes
    signature: bytes
    signing_input: bytes

    @property
    def algorithm(self) -> str:
        """``alg``, or empty where it is no text."""
        alg = self.header.get("alg")
        return alg if isinstance(alg, str) else ""

    @property
    def key_id(self) -> str | None:
        """``kid``, where it is text: a dictionary key and nothing else (T4)."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None


def read_compact(token: str) -> CompactJws | Rejected:
    """The parts of ``token``; refuses long tokens, JWE's five parts, padding and loose base64 (T14)."""
    if len(token) > MAX_TOKEN:
        return Rejected("the token is too long")
    shape = _COMPACT.fullmatch(token)
    if shape is None:
        return Rejected("the token is not three base64url parts")
    try:
        header = _HEADERS.get(shape[1]) or _read_header(shape[1])
        payload, signature = _decode(shape[2]), _decode(shape[3])
    except ValueError:
        return Rejected("the token's encoding is not canonical base64url and JSON")
    if isinstance(header, Rejected):
        return header
    return CompactJws(header, payload, signature, token[: shape.end(2)].encode())


def _read_header(part: str) -> Mapping[str, object] | Rejected:
    """Raises: ValueError: it is no canonical base64url, or no JSON."""
    header = strict_json.parse(_decode(part))
    if not isinstance(header, dict):
        return Rejected("the token's header is not an object")
    if not isinstance(header.get("kid", ""), str):
        return Rejected("the token's kid is not text")
    shared = MappingProxyType(header)
    if len(part) <= _LONGEST_HEADER:
        _HEADERS.learn(part, shared)
    return shared


def decompress(payload: bytes, method: object) -> bytes | Rejected:
    """The payload that ``zip`` names, at most ``MAX_PAYLOAD`` bytes. Call it after the signature only."""
    for window in _WINDOW_BITS.get(method, ()) if isinstance(method, str) else ():
        inflater = zlib.decompressobj(window)
        try:
            plain = inflater.decompress(payload, MAX_PAYLOAD + 1)
        except zlib.error:
            continue
        if inflater.eof and not inflater.unused_data and len(plain) <= MAX_PAYLOAD:
            return plain
    return Rejected("the token's compressed payload is unreadable or too large")


def _decode(part: str) -> bytes:
    """Base64url without padding, in its one canonical form: no second spelling of a token verifies.

    ``part`` is of base64url's alphabet, so that what is left to spell in two ways is the end (RFC 4648 §3.5).
    """
    odd = len(part) % 4
    if odd == 1 or (odd and part[-1] not in _LAST[odd]):
        raise ValueError("not canonical")
    return base64.urlsafe_b64decode(part + "=" * (-odd % 4))
