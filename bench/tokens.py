"""Access tokens as an authorization server grants them: RS256, about 900 bytes."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "api"
_LIFETIME = 86_400
_KID = "bench"
_PADDING = "-".join(["0123456789abcdef"] * 15)
"""Brings a token to the size of those in the field: groups, roles, a session's id."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What one user holds, and what the token endpoint will grant for it."""

    user: str
    access: str
    refresh: str
    granted: str
    """The next access token. Signed beforehand: the endpoint's own time is not to be measured."""


class Mint:
    """Signs tokens with a key of its own."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._numbers = count()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> dict[str, Any]:
        """The public key (RFC 7517 §5)."""
        jwk = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**jwk, "kid": _KID, "alg": "RS256", "use": "sig"}]}

    def token(self, user: str, *, lifetime: int = _LIFETIME) -> str:
        """An access token. ``lifetime`` in seconds; a negative one has expired so long ago."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": user,
            "aud": AUDIENCE,
            "exp": now + lifetime,
            "iat": now + min(lifetime, 0) - 1,
            "jti": f"{next(self._numbers):08}",
            "sid": _PADDING,
        }
        return jwt.encode(claims, self._key, "RS256", headers={"kid": _KID, "typ": "at+jwt"})

    def tokens(self, number: int) -> list[str]:
        """Fresh tokens of as many users."""
        return [self.token(f"user-{each:05}") for each in range(number)]

    def pairs(self, kind: str, number: int, *, lifetime: int) -> list[Pair]:
        """What as many users hold, ``kind-00000`` and so on: an access token of this lifetime, a refresh token."""
        return list(self._pairs(kind, number, lifetime))

    def _pairs(self, kind: str, number: int, lifetime: int) -> Iterator[Pair]:
        for each in range(number):
            user = f"{kind}-{each:05}"
            refresh = f"refresh-token-of-{user}-0123456789abcdef"
            yield Pair(user, self.token(user, lifetime=lifetime), refresh, self.token(user))


def save(pairs: list[Pair], path: Path) -> None:
    """For the token endpoint, which is another process."""
    path.write_text(json.dumps([asdict(pair) for pair in pairs]))


def load(path: Path) -> list[Pair]:
    """What ``save`` has written."""
    return [Pair(**entry) for entry in json.loads(path.read_text())]
