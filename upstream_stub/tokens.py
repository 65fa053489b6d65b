"""Access tokens in the shape of RFC 9068, or with the habits of older libraries."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from upstream_stub.keys import Key, SigningKey, compact_json, sign

Claims = Mapping[str, Any]
_TIMES = ("exp", "iat", "nbf")
_MILLISECONDS = 1000


@dataclass(frozen=True)
class TokenStyle:
    """How an issuer writes its access tokens. The defaults are RFC 9068."""

    typ: str | None = "at+jwt"
    compression: str | None = None
    """``GZIP``, ``DEF`` (zlib, RFC 1950, as jjwt writes it) or ``DEF-RAW`` (RFC 1951, as JWE means it)."""
    milliseconds: bool = False
    """Times are milliseconds since the epoch, against RFC 7519 §4.1.4."""
    subject_claim: str = "sub"
    fixed_subject: str | None = None
    """A constant ``sub`` beside the user's name in ``subject_claim``."""


def compress(payload: bytes, method: str | None) -> tuple[bytes, dict[str, str]]:
    """The payload and the header members that go with it."""
    match method:
        case None:
            return payload, {}
        case "GZIP":
            return gzip.compress(payload), {"zip": "GZIP"}
        case "DEF":
            return zlib.compress(payload), {"zip": "DEF"}
        case "DEF-RAW":
            deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            return deflate.compress(payload) + deflate.flush(), {"zip": "DEF"}
        case _:
            raise ValueError(f"no compression {method!r}")


def _decompress(payload: bytes, header: Claims, style: TokenStyle) -> bytes:
    if "zip" not in header:
        return payload
    if style.compression == "DEF-RAW":
        return zlib.decompress(payload, wbits=-zlib.MAX_WBITS)
    return zlib.decompress(payload, wbits=zlib.MAX_WBITS | 32)  # 32: zlib's or gzip's header, whichever is there


def styled(claims: Claims, style: TokenStyle) -> dict[str, Any]:
    """The claims as this issuer writes them."""
    written = dict(claims)
    if style.subject_claim != "sub" and "sub" in written:
        written[style.subject_claim] = written.pop("sub")
        if style.fixed_subject is not None:
            written["sub"] = style.fixed_subject
    if style.milliseconds:
        written |= {name: int(written[name] * _MILLISECONDS) for name in _TIMES if _is_number(written.get(name))}
    return written


def write(
    claims: Claims,
    signing: SigningKey,
    style: TokenStyle,
    *,
    headers: Claims | None = None,
    key: Key | None = None,
    algorithm: str | None = None,
) -> str:
    """Sign ``claims`` as they are. ``headers`` change the header (None removes); the last two forge."""
    payload, zipped = compress(compact_json(claims), style.compression)
    algorithm = algorithm or signing.algorithm
    header = {"alg": algorithm, "typ": style.typ, "kid": signing.kid, **zipped, **(headers or {})}
    kept = {name: value for name, value in header.items() if value is not None}
    return sign(payload, kept, signing.key if key is None else key, algorithm)


def read(token: str, keys: Sequence[SigningKey], style: TokenStyle) -> dict[str, Any] | None:
    """The claims, in standard names and seconds, of a token that one of ``keys`` signed; None for any other."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next(k for k in keys if k.kid == kid)
        parts = jwt.PyJWS().decode_complete(token, key.verification_key(), algorithms=[key.algorithm])
        claims = json.loads(_decompress(parts["payload"], parts["header"], style))
    except (jwt.PyJWTError, StopIteration, ValueError, zlib.error):
        return None
    return _standard(claims, style) if isinstance(claims, dict) else None


def _standard(claims: dict[str, Any], style: TokenStyle) -> dict[str, Any]:
    if style.subject_claim != "sub":
        claims["sub"] = claims.get(style.subject_claim)
    if style.milliseconds:
        claims |= {name: claims[name] / _MILLISECONDS for name in _TIMES if _is_number(claims.get(name))}
    return claims


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
