"""The token check of both plain proxies: verified once by PyJWT, then looked up, which is in their favour."""

import json
import os
import time
from pathlib import Path

import jwt

_BEARER = "Bearer "
HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})
"""Not passed on (RFC 9110 §7.6.1); Host is the client's own affair."""


class Verifier:
    """Says whether an ``Authorization`` field holds a token that is in force."""

    def __init__(self) -> None:
        key = json.loads(Path(os.environ["BENCH_JWKS"]).read_text())["keys"][0]
        self._key = jwt.PyJWK(key)
        self._issuer, self._audience = os.environ["BENCH_ISSUER"], os.environ["BENCH_AUDIENCE"]
        self._ends: dict[str, float] = {}

    def accepts(self, authorization: str) -> bool:
        """Signature, issuer, audience, expiry."""
        end = self._ends.get(authorization)
        if end is None:
            end = self._ends[authorization] = self._verified_until(authorization)
        return end > time.time()

    def _verified_until(self, authorization: str) -> float:
        try:
            claims = jwt.decode(
                authorization.removeprefix(_BEARER),
                self._key,
                algorithms=["RS256"],
                issuer=self._issuer,
                audience=self._audience,
            )
        except jwt.PyJWTError:
            return 0.0
        return float(claims["exp"])
