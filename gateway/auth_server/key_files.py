"""Verification keys from the operator's file: a secret, a PEM public key or certificate, a JWK or a JWK Set."""

import base64
import re
from collections.abc import Collection
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.auth_server.keys import MIN_RSA_BITS, StaticKeys, VerificationKey, fingerprint, read_jwk, read_jwks
from gateway.core import strict_json
from gateway.core.secret import Secret

Encoding = Literal["text", "base64"]

_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def static_keys(material: Secret, algorithms: Collection[str], encoding: Encoding = "text") -> StaticKeys:
    """The keys in ``material``, each for those of ``algorithms`` that fit it.

    Raises:
        ValueError: it holds no key for any of them, or a private one. The text quotes nothing.
    """
    keys = [key for key in _read(material.reveal(), encoding, frozenset(algorithms)) if key.algorithms]
    if not keys:
        raise ValueError("the key fits none of the configured algorithms")
    return StaticKeys(keys)


def too_short(material: Secret, algorithm: str, encoding: Encoding = "text") -> bool:
    """The HMAC secret has fewer bits than the hash (RFC 7518 §3.2): worth a warning at start.

    Not refused: deployments with such secrets exist, and the gateway makes them neither better nor worse.
    """
    wanted = int(algorithm.removeprefix("HS")) // 8 if algorithm.startswith("HS") else 0
    return any(len(key) < wanted for key in _secrets(material.reveal(), encoding))


def _read(text: str, encoding: Encoding, algorithms: frozenset[str]) -> list[VerificationKey]:
    if "-----BEGIN" in text:
        return [_from_pem(text, algorithms)]
    document = _json(text)
    if isinstance(document, dict) and "keys" in document:
        return read_jwks(document, algorithms, symmetric=True)
    if isinstance(document, dict) and "kty" in document:
        key = read_jwk(document, algorithms, symmetric=True)
        return [key] if key else []
    usable = algorithms & {"HS256", "HS384", "HS512"}
    return [VerificationKey(None, usable, key, fingerprint(key)) for key in _secrets(text, encoding)]


def _json(text: str) -> object:
    try:
        return strict_json.parse(text.encode())
    except ValueError:
        return None


def _from_pem(text: str, algorithms: frozenset[str]) -> VerificationKey:
    """A public key is never an HMAC secret (CVE-2022-29217), and a private one has no business here."""
    if "PRIVATE KEY" in text:
        raise ValueError("the file holds a private key; give its public key")
    try:
        if "-----BEGIN CERTIFICATE" in text:
            key: Any = x509.load_pem_x509_certificate(text.encode()).public_key()
        else:
            key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the file is neither a PEM public key nor a certificate") from None
    return VerificationKey(None, _fitting(key) & algorithms, key, fingerprint(text.encode()))


def _fitting(key: object) -> frozenset[str]:
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return frozenset({_CURVES[key.curve.name]})
    return frozenset({"EdDSA"}) if isinstance(key, Ed25519PublicKey) else frozenset()


def _secrets(text: str, encoding: Encoding) -> list[bytes]:
    """The bytes that a secret's text means: for base64 without its padding, two readings.

    Java's DatatypeConverter, under jjwt before 0.10, drops a last group of fewer than four characters; every
    other decoder keeps it. Both readings need the operator's secret, so both may be tried.
    """
    if encoding == "text":
        readings = [text.encode()]
    else:
        plain = "".join(text.split()).translate(str.maketrans("-_", "+/"))
        readings = [_base64(plain)]
        if "=" not in plain and len(plain) % 4:
            readings.append(_base64(plain[: -(len(plain) % 4)]))
    if not readings[0]:
        raise ValueError("the secret is empty")
    return [reading for reading in readings if reading]


def _base64(text: str) -> bytes:
    bare = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(bare) % 4 == 1:
        raise ValueError("the secret is not base64 text")
    return base64.b64decode(bare + "=" * (-len(bare) % 4))
