"""Where verification keys come from, and whether a static key is fit for the algorithms."""

from collections.abc import Iterator

import jwt
from jwt.algorithms import get_default_algorithms

from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.tokens import FAMILIES

_KEY = "access_token.key"
_ALGORITHMS = "access_token.algorithms"
_JWKS = "auth_server.jwks_uri"


def key_rules(config: Config) -> Iterator[Problem]:
    """One source of keys, and of the right kind."""
    server, token = config.auth_server, config.access_token
    symmetric = token.algorithms[0] in FAMILIES["oct"]
    if token.key and server.jwks_uri:
        yield Problem(_KEY, "is set together with auth_server.jwks_uri", "keep one of the two", (_JWKS,))
    if token.key is None and symmetric:
        yield Problem(
            _KEY,
            "is missing: HS* tokens are checked with a shared secret, which no key set publishes",
            'write { file = "path" } or { env = "NAME" }',
            (_ALGORITHMS,),
        )
    elif not (token.key or server.jwks_uri or server.issuer):
        yield Problem(
            _JWKS,
            "is missing, and so are auth_server.issuer and access_token.key: there is no way to get keys",
            "write jwks_uri, or issuer for discovery, or access_token.key",
            ("auth_server.issuer", _KEY),
        )
    if token.key:
        yield from _unfit(token.key.octets(), token.algorithms)


def _unfit(key: bytes, algorithms: tuple[str, ...]) -> Iterator[Problem]:
    for name in algorithms:
        reason = _too_short(key, name) if name in FAMILIES["oct"] else _no_public_key(key, name)
        if reason:
            yield Problem(_KEY, *reason, (_ALGORITHMS,))
            return


def _too_short(key: bytes, algorithm: str) -> tuple[str, str] | None:
    """RFC 7518 §3.2: a key of at least the size of the hash."""
    need = int(algorithm[2:]) // 8
    if _is_asymmetric(key):
        return "is a public key or certificate, which is no secret", f"write a random secret of {need} bytes"
    if len(key) < need:
        return f"is too short for {algorithm} (RFC 7518 §3.2)", f"write a random secret of at least {need} bytes"
    return None


def _is_asymmetric(key: bytes) -> bool:
    return b"-----BEGIN " in key or key.lstrip().startswith((b"ssh-", b"{"))


def _no_public_key(key: bytes, algorithm: str) -> tuple[str, str] | None:
    remedy = f"write a public key in PEM that fits {algorithm}"
    try:
        loaded = get_default_algorithms()[algorithm].prepare_key(key)
    except (jwt.PyJWTError, ValueError, TypeError):
        return f"is no key for {algorithm}", remedy
    if hasattr(loaded, "private_bytes"):
        return "is a private key: whoever reads it can issue tokens", "write its public half in PEM"
    return None
