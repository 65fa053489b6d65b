"""Attack tokens: sound but for one thing each. Every function takes the house whose token it forges."""

import base64
import json
import time
import zlib
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.house import House
from upstream_stub.keys import SigningKey, b64url, compact_json, sign

STRANGER = SigningKey.make("RS256", 7)
"""A key of the attacker's own."""


def expired(h: House, **changes: Any) -> str:
    """A token that would be refreshed, but for ``changes``."""
    now = int(time.time())
    return h.auth.mint(**{"iat": now - 3600, "exp": now - 60, **changes})


def fresh(h: House, **changes: Any) -> str:
    return h.auth.mint(**changes)


def tampered(token: str) -> str:
    """Another bit of the signature, in canonical base64."""
    head, payload, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[10] ^= 1
    return f"{head}.{payload}.{b64url(bytes(raw))}"


def other_payload(h: House) -> str:
    """The signature of one token under the claims of another."""
    one, other = expired(h), expired(h, sub="mallory")
    return ".".join([*other.split(".")[:2], one.split(".")[2]])


def literal_exp(h: House, text: str) -> str:
    """A payload with an ``exp`` that ``json`` would not write so."""
    payload = compact_json(h.auth.claims(exp=12345)).replace(b"12345", text.encode())
    header = {"alg": "RS256", "typ": "at+jwt", "kid": h.auth.keys[0].kid}
    return sign(payload, header, h.auth.private_key, "RS256")


def duplicate_exp(h: House) -> str:
    """Two parsers read two expiries."""
    payload = compact_json(h.auth.claims()).replace(b'"exp":', b'"exp":1,"exp":', 1)
    return sign(payload, {"alg": "RS256", "typ": "at+jwt", "kid": h.auth.keys[0].kid}, h.auth.private_key, "RS256")


def public(h: House, encoding: Encoding, form: PublicFormat) -> bytes:
    key = h.auth.keys[0].verification_key()
    found: bytes = key.public_bytes(encoding, form)
    return found


def hmac_with(h: House, secret: bytes, **changes: Any) -> str:
    """HS256, keyed with something public (CVE-2022-29217, CVE-2026-48526)."""
    return expired(h, key=secret, algorithm="HS256", **changes)


def jwk_text(h: House) -> bytes:
    return json.dumps(h.auth.keys[0].jwk()).encode()


def unsigned(h: House, alg: str) -> str:
    head = {"alg": alg, "typ": "at+jwt", "kid": h.auth.keys[0].kid}
    return f"{b64url(compact_json(head))}.{b64url(compact_json(h.auth.claims()))}."


def unsigned_with_a_signature(h: House, alg: str) -> str:
    """``alg: none`` over a signature that would do for RS256."""
    return expired(h, headers={"alg": alg})


def by_stranger(h: House, **headers: Any) -> str:
    return expired(h, key=STRANGER.key, headers=headers)


T2 = {
    "bad signature": lambda h: tampered(expired(h)),
    "wrong iss": lambda h: expired(h, iss="https://evil.example"),
    "no iss": lambda h: expired(h, iss=None),
    "wrong aud": lambda h: expired(h, aud="another-api"),
    "no aud": lambda h: expired(h, aud=None),
    "nbf in the future": lambda h: expired(h, nbf=time.time() + 600),
    "unknown kid": lambda h: expired(h, headers={"kid": "nobody"}),
    "wrong typ": lambda h: expired(h, headers={"typ": "JWT"}),
    "no exp": lambda h: expired(h, exp=None),
    "no sub": lambda h: expired(h, sub=None),
}
T3 = {
    "none": lambda h: unsigned(h, "none"),
    "none with a dummy signature": lambda h: unsigned(h, "none") + "AAAA",
    "nOnE": lambda h: unsigned(h, "nOnE") + "AAAA",
    "none over an RS256 signature": lambda h: unsigned_with_a_signature(h, "none"),
    "no alg": lambda h: expired(h, headers={"alg": None}),
    "HS256 keyed with the PEM": lambda h: hmac_with(h, h.auth.public_pem),
    "HS256 keyed with the PEM, no kid": lambda h: hmac_with(h, h.auth.public_pem, headers={"kid": None}),
    "HS256 keyed with the stripped PEM": lambda h: hmac_with(h, h.auth.public_pem.strip()),
    "HS256 keyed with PKCS1": lambda h: hmac_with(h, public(h, Encoding.PEM, PublicFormat.PKCS1)),
    "HS256 keyed with DER": lambda h: hmac_with(h, public(h, Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 keyed with the JWK": lambda h: hmac_with(h, jwk_text(h)),
    "HS256 keyed with nothing": lambda h: hmac_with(h, b""),
    "RS512, not configured": lambda h: expired(h, algorithm="RS512"),
    "PS256 with the same key": lambda h: expired(h, algorithm="PS256"),
}
T4 = {
    "traversal": lambda h: by_stranger(h, kid="../../../../../../dev/null"),
    "SQL": lambda h: by_stranger(h, kid="x' UNION SELECT 'key'; DROP TABLE keys; --"),
    "10 KB": lambda h: by_stranger(h, kid="k" * 10_000),
    "control characters": lambda h: by_stranger(h, kid="\r\n\x1b[31mlevel=error"),
    "empty": lambda h: by_stranger(h, kid=""),
    "a list": lambda h: by_stranger(h, kid=["a"]),
    "a number": lambda h: by_stranger(h, kid=1),
}
T6 = {
    "crit of a known claim": lambda h: expired(h, headers={"crit": ["exp"]}),
    "crit of an unknown name": lambda h: expired(h, headers={"crit": ["urn:x"], "urn:x": True}),
    "empty crit": lambda h: expired(h, headers={"crit": []}),
    "b64 false": lambda h: expired(h, headers={"crit": ["b64"], "b64": False}),
}
T8 = {
    typ or "no typ": lambda h, typ=typ: expired(h, headers={"typ": typ})
    for typ in ("JWT", "id+jwt", "refresh+jwt", "logout+jwt", "at+jwtx", None)
}
T9 = {
    "a slash more": lambda h: expired(h, iss=h.auth.issuer + "/"),
    "another case": lambda h: expired(h, iss=h.auth.issuer.replace("http", "HTTP")),
    "a list": lambda h: expired(h, iss=[h.auth.issuer]),
    "aud in part": lambda h: expired(h, aud="ap"),
    "aud in another case": lambda h: expired(h, aud=["API"]),
    "aud of numbers": lambda h: expired(h, aud=["api", 1]),
}
T10 = {
    "exp as text": lambda h: fresh(h, exp="9999999999"),
    "exp true": lambda h: fresh(h, exp=True),
    "exp a list": lambda h: fresh(h, exp=[9999999999]),
    "exp 1e300": lambda h: literal_exp(h, "1e300"),
    "exp in milliseconds": lambda h: fresh(h, exp=int(time.time() + 3600) * 1000),
    "exp Infinity": lambda h: literal_exp(h, "Infinity"),
    "exp NaN": lambda h: literal_exp(h, "NaN"),
    "exp 1e999": lambda h: literal_exp(h, "1e999"),
    "exp negative": lambda h: fresh(h, exp=-1),
    "exp twice": duplicate_exp,
    "no exp": lambda h: fresh(h, exp=None),
    "no iss": lambda h: fresh(h, iss=None),
    "no sub": lambda h: fresh(h, sub=None),
    "empty sub": lambda h: fresh(h, sub=""),
    "no aud": lambda h: fresh(h, aud=None),
    "nbf as text": lambda h: fresh(h, nbf="0"),
}
T14 = {
    "longer than 16 KB": lambda h: fresh(h, padding="x" * 17_000),
    "five parts": lambda h: fresh(h) + ".YQ.YQ",
    "two parts": lambda h: fresh(h).rpartition(".")[0],
    "padded": lambda h: fresh(h) + "=",
    "not canonical": lambda h: fresh(h)[:-1] + chr(ord(fresh(h)[-1]) + 1),
    "a blank in it": lambda h: fresh(h).replace(".", ". ", 1),
    "compressed": lambda h: zipped(h, b64_of=zlib.compress(compact_json(h.auth.claims()))),
    "not JSON": lambda h: sign(b"{", {"alg": "RS256", "kid": h.auth.keys[0].kid}, h.auth.private_key, "RS256"),
    "empty": lambda h: "x",
}


def zipped(h: House, b64_of: bytes) -> str:
    header = {"alg": "RS256", "typ": "at+jwt", "kid": h.auth.keys[0].kid, "zip": "DEF"}
    return sign(b64_of, header, h.auth.private_key, "RS256")


TABLE = {
    "T1": {"expired and badly signed": lambda h: tampered(expired(h)), "expired and other claims": other_payload},
    "T2": T2,
    "T3": T3,
    "T4": T4,
    "T6": T6,
    "T8": T8,
    "T9": T9,
    "T10": T10,
    "T14": T14,
}
