"""Signing keys, and compact JWS serialisation that signs whatever it is told to, attacks included."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Key = PrivateKey | bytes
"""A private key, or the shared secret of an HMAC."""

_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_ALGORITHMS = get_default_algorithms()


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact_json(value: object) -> bytes:
    """JSON without spaces, as every JOSE library writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


@cache
def _key(algorithm: str, index: int) -> Key:
    """The ``index``-th key of this process: making an RSA key for each test's server would be slow."""
    del index
    if algorithm in _HASHES:
        return os.urandom(32)
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm[:2] in {"RS", "PS"}:
        return rsa.generate_private_key(65537, 2048)
    raise ValueError(f"no keys for the algorithm {algorithm}")


@dataclass(frozen=True)
class SigningKey:
    """One key of an authorization server."""

    algorithm: str
    key: Key
    kid: str

    @classmethod
    def make(cls, algorithm: str, index: int = 0) -> "SigningKey":
        """The ``index``-th key of this process; servers that ask for the same index share it."""
        key = _key(algorithm, index)
        return cls(algorithm, key, _kid(algorithm, key))

    def jwk(self) -> dict[str, str] | None:
        """The public key (RFC 7517); None for a shared secret, which is never published."""
        if isinstance(self.key, bytes):
            return None
        return {**_public_members(self.algorithm, self.key), "use": "sig", "alg": self.algorithm, "kid": self.kid}

    def public_pem(self) -> bytes:
        """The public key as PEM (SubjectPublicKeyInfo), or the shared secret itself."""
        if isinstance(self.key, bytes):
            return self.key
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(encoding, form)

    def verification_key(self) -> Any:
        """What PyJWT verifies with."""
        return self.key if isinstance(self.key, bytes) else self.key.public_key()


def _public_members(algorithm: str, key: PrivateKey) -> dict[str, str]:
    jwk: dict[str, Any] = type(_ALGORITHMS[algorithm]).to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if isinstance(value, str)}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638: a name that everybody computes alike from the key itself."""
    required = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    return b64url(hashlib.sha256(compact_json(required)).digest())


def _kid(algorithm: str, key: Key) -> str:
    """A thumbprint of a shared secret would help to guess it, so it gets a digest of another kind."""
    if isinstance(key, bytes):
        return hashlib.sha256(b"kid" + key).hexdigest()[:16]
    return thumbprint(_public_members(algorithm, key))


def sign(payload: bytes, header: Mapping[str, Any], key: Key, algorithm: str) -> str:
    """A compact JWS (RFC 7515 §7.1) of ``payload``.

    ``algorithm`` says how it is signed, ``header["alg"]`` what it claims: the two may differ. Any bytes are an
    HMAC key here, a public key's PEM too. An algorithm of "none" in any case leaves the signature empty.
    """
    signed = f"{b64url(compact_json(header))}.{b64url(payload)}"
    return f"{signed}.{b64url(_signature(signed.encode(), key, algorithm))}"


def _signature(data: bytes, key: Key, algorithm: str) -> bytes:
    if algorithm.lower() == "none":
        return b""
    if algorithm in _HASHES:
        if not isinstance(key, bytes):
            raise ValueError("an HMAC is keyed with bytes")
        return hmac.digest(key, data, _HASHES[algorithm])
    signature: bytes = _ALGORITHMS[algorithm].sign(data, key)
    return signature
