"""Access tokens verified: shape, algorithm, key, signature and claims, in this order.

PyJWT checks signatures and nothing else. It would accept a missing or absurd ``exp``, padded tokens and keys
that are not for signatures (HARDENING, trap 9), and it looks at every byte of a token in Python first. So its
algorithm objects are used, with the keys that ``keys`` has found fit for the algorithm. ``jku``, ``x5u``,
``jwk`` and ``x5c`` in a token are never read (T5).
"""

from dataclasses import dataclass, field
from typing import Final

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from gateway.auth_server.keys import ALGORITHMS, KeySet, KeySource, VerificationKey
from gateway.core import jws, strict_json
from gateway.core.bounded import Bounded
from gateway.core.claims import ClaimsPolicy, judge_claims, judge_header
from gateway.core.jws import CompactJws
from gateway.core.secret import Secret
from gateway.core.tokens import Judgement, KeysUnavailable, Rejected, Verified

CACHE_SIZE: Final = 10_000
"""Tokens. At a common kilobyte each, with claims, about 50 MB."""


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """What a token must be."""

    algorithms: tuple[str, ...] = ("RS256",)
    claims: ClaimsPolicy = field(default_factory=ClaimsPolicy)
    zip: bool = False
    """Compressed payloads are read (jjwt); otherwise a ``zip`` header refuses the token (T14)."""

    def __post_init__(self) -> None:
        if not self.algorithms or not ALGORITHMS.issuperset(self.algorithms):
            raise ValueError("algorithms is a list of JWS algorithms, and none is not one")


class Verifier:
    """Verifies a token once, and remembers those that passed for as long as the keys stay the same."""

    def __init__(self, keys: KeySource, policy: VerificationPolicy, *, cache_size: int = CACHE_SIZE) -> None:
        self._keys = keys
        self._policy = policy
        self._signatures = PyJWS(algorithms=policy.algorithms)
        self._cache: Bounded[str, Verified] = Bounded(cache_size)
        self._generation = keys.generation

    def remembered(self, token: str) -> Verified | None:
        """What is known of a token that was verified before: one look-up, no crypto."""
        if self._generation != self._keys.generation:
            self._forget()
        return self._cache.get(token)

    async def verify(self, token: Secret, *, granted: bool = False) -> Judgement:
        """The judgement of ``token``. Never raises, whatever the token.

        ``granted``: the authorization server has just issued it to us, so that an unknown key is worth a look
        at the key set sooner, and is no proof against the token (CONTRACT §4.4).
        """
        raw = token.reveal()
        known = self.remembered(raw)
        if known is not None:
            return known
        parts = jws.read_compact(raw)
        if isinstance(parts, Rejected):
            return parts
        refusal = self._judge_outside(parts)
        if refusal is not None:
            return refusal
        key = await self._find_key(parts, granted=granted)
        if not isinstance(key, VerificationKey):
            return key
        judgement = self._judge_inside(parts, retired=key.retired)
        if self._generation != self._keys.generation:
            self._forget()
        if isinstance(judgement, Verified):
            self._cache[raw] = judgement
        return judgement

    def _forget(self) -> None:
        self._generation = self._keys.generation
        self._cache.clear()

    def _judge_outside(self, parts: CompactJws) -> Rejected | None:
        """What needs no key: so that junk costs neither a signature check nor a look at the key set."""
        if parts.algorithm not in self._policy.algorithms:
            return Rejected("the token's algorithm is not one of the configured")
        if "zip" in parts.header and not self._policy.zip:
            return Rejected("the token is compressed")
        return judge_header(parts.header, self._policy.claims)

    async def _find_key(self, parts: CompactJws, *, granted: bool) -> VerificationKey | Rejected | KeysUnavailable:
        """The key that signed the token; looks for new keys at most once where none at hand did."""
        keys = self._keys.current()
        key = self._signer(keys, parts)
        if key is None and not (keys is not None and keys.knows(parts.key_id)):
            await self._keys.refetch(granted=granted)
            keys = self._keys.current()
            key = self._signer(keys, parts)
        if key is not None:
            return key
        if keys is None:
            return KeysUnavailable()
        if keys.candidates(parts.key_id, parts.algorithm):
            return Rejected("the token's signature does not verify")
        if granted or self._keys.doubtful:
            return KeysUnavailable("the token's key is not known yet")
        return Rejected("the token's key is not one of the issuer's")

    def _signer(self, keys: KeySet | None, parts: CompactJws) -> VerificationKey | None:
        candidates = keys.candidates(parts.key_id, parts.algorithm) if keys is not None else []
        return next((key for key in candidates if self._signed_by(key, parts)), None)

    def _signed_by(self, key: VerificationKey, parts: CompactJws) -> bool:
        algorithm = self._signatures.get_algorithm_by_name(parts.algorithm)
        try:
            return algorithm.verify(parts.signing_input, key.material, parts.signature)
        except (PyJWTError, ValueError, TypeError):
            return False

    def _judge_inside(self, parts: CompactJws, *, retired: bool) -> Verified | Rejected:
        payload: bytes | Rejected = parts.payload
        if "zip" in parts.header:
            payload = jws.decompress(parts.payload, parts.header["zip"])
        if isinstance(payload, Rejected):
            return payload
        try:
            claims = strict_json.parse(payload)
        except ValueError:
            return Rejected("the token's payload is not JSON")
        if not isinstance(claims, dict):
            return Rejected("the token's payload is not an object")
        return judge_claims(claims, parts.header, self._policy.claims, key_retired=retired)
