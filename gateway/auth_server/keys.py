"""Verification keys: which key material may verify which algorithm (RFC 7517, RFC 7518, RFC 8725 §3.1).

The algorithm comes from the configuration and from the key; a token only chooses among what both allow (T3).
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

ALGORITHMS: Final = frozenset(
    {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    | {"ES256", "ES384", "ES512", "ES256K", "EdDSA"}
)
"""What a configuration may list. ``none`` is not a value."""

MAX_KEYS: Final = 64
"""Of one JWK Set, and as many retired ones."""
MAX_TRIES: Final = 4
"""Signature checks for one token."""
MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_BY_TYPE: Final[Mapping[tuple[object, object], frozenset[str]]] = {
    ("oct", None): frozenset({"HS256", "HS384", "HS512"}),
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("EC", "secp256k1"): frozenset({"ES256K"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_PUBLIC_MEMBERS: Final[Mapping[object, tuple[str, ...]]] = {
    "oct": ("k",),
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key, and the algorithms that it may verify here."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any = field(repr=False, compare=False)
    """A public key of ``cryptography``, or the bytes of an HMAC secret."""
    fingerprint: str = field(repr=False)
    """Of the material: the same ``kid`` with another fingerprint is another key."""
    retired: bool = field(default=False, compare=False)
    """It has left the key set: judges expired tokens only (R22)."""


class KeySet:
    """The keys at one moment, by ``kid``."""

    def __init__(self, keys: Sequence[VerificationKey], retired: Iterable[VerificationKey] = ()) -> None:
        self.keys = tuple(keys)
        self._all = self.keys + tuple(replace(key, retired=True) for key in retired)
        self._by_kid: dict[str | None, list[VerificationKey]] = {}
        for key in self._all:
            self._by_kid.setdefault(key.kid, []).append(key)

    def knows(self, kid: str | None) -> bool:
        """A key has this very ``kid``."""
        return kid is not None and kid in self._by_kid

    def candidates(self, kid: str | None, algorithm: str) -> list[VerificationKey]:
        """The keys to try, current ones first, at most ``MAX_TRIES``.

        A ``kid`` selects; a token without one may be by any key, and a key without one may be of any token.
        """
        named: Sequence[VerificationKey] = self._all
        if kid is not None:
            named = self._by_kid.get(kid) or self._by_kid.get(None, [])
        return [key for key in named if algorithm in key.algorithms][:MAX_TRIES]


class KeySource(Protocol):
    """Where a verifier gets its keys."""

    @property
    def generation(self) -> int:
        """Changes whenever the keys do: what was verified before is forgotten then."""

    @property
    def doubtful(self) -> bool:
        """The last attempt to fetch keys failed: a key unknown here may still be one of the issuer's."""

    def current(self) -> KeySet | None:
        """The keys at hand; None if there are none."""

    async def refetch(self, *, granted: bool) -> None:
        """Look for new keys, as often as the throttle allows. Never raises."""


class StaticKeys:
    """Keys from the configuration: they never change."""

    generation: Final = 0
    doubtful: Final = False

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = KeySet(keys)

    def current(self) -> KeySet:
        """The keys."""
        return self._keys

    async def refetch(self, *, granted: bool) -> None:
        """There is nowhere to look."""


def read_jwks(document: object, algorithms: Collection[str], *, symmetric: bool) -> list[VerificationKey]:
    """The keys of a JWK Set that may verify with one of ``algorithms`` (T7); the others are passed over.

    ``symmetric`` admits ``oct`` keys: from the operator's file, never from a URL, where a secret is none.
    """
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list):
        return []
    found = (read_jwk(jwk, algorithms, symmetric=symmetric) for jwk in members[:MAX_KEYS])
    return [key for key in found if key is not None]


def read_jwk(jwk: object, algorithms: Collection[str], *, symmetric: bool) -> VerificationKey | None:
    """The key that ``jwk`` describes, if it is one for signatures that ``algorithms`` can use.

    Only its public members are read: a set that leaks private ones gives no signer here.
    """
    if not isinstance(jwk, Mapping) or not _for_signatures(jwk):
        return None
    kty, kid, bound = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    crv = jwk.get("crv") if kty in ("EC", "OKP") else None
    usable = _usable(kty, crv) & frozenset(algorithms)
    if bound is not None:
        usable &= {bound} if isinstance(bound, str) else frozenset()
    if not usable or (kty == "oct" and not symmetric):
        return None
    members = {name: jwk.get(name) for name in _PUBLIC_MEMBERS[kty]}
    material = _material({"kty": kty, **members}, min(usable))
    if material is None:
        return None
    text = json.dumps(members, sort_keys=True)
    return VerificationKey(kid if isinstance(kid, str) else None, usable, material, fingerprint(text.encode()))


def fingerprint(material: bytes) -> str:
    """Tells key material apart without showing it."""
    return hashlib.sha256(material).hexdigest()


def _for_signatures(jwk: Mapping[str, object]) -> bool:
    """RFC 7517 §4.2, §4.3. PyJWT looks at neither."""
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _usable(kty: object, crv: object) -> frozenset[str]:
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return frozenset()
    return _BY_TYPE.get((kty, crv), frozenset())


def _material(members: dict[str, object], algorithm: str) -> Any | None:
    if not all(isinstance(value, str) for value in members.values()):
        return None
    try:
        material = PyJWK(members, algorithm).key
    except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    too_short = isinstance(material, RSAPublicKey) and material.key_size < MIN_RSA_BITS
    return None if too_short else material
