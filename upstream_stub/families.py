"""Refresh tokens, their rotation, and the detection of reuse (RFC 6749 §6, RFC 9700 §4.14.2)."""

import hashlib
import secrets
from dataclasses import dataclass, field


def token_id(token: str) -> str:
    """A short name for a token that may be shown."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


class InvalidGrant(Exception):  # noqa: N818  # named for its OAuth error
    """The refresh token buys nothing. ``args[0]`` says why."""


@dataclass(eq=False)
class Family:
    """Everything that descends from one login."""

    id: str
    subject: str
    client_id: str
    scope: str
    revoked: bool = False
    reused: bool = False
    """Revoked because a rotated token was presented again."""


@dataclass(eq=False)
class RefreshToken:
    """One refresh token. The text itself is not kept."""

    id: str
    family: Family
    expires_at: float
    issued_at: float
    rotated_at: float | None = None
    successors: list["RefreshToken"] = field(default_factory=list)


class Families:
    """All refresh tokens of one authorization server. Times are Unix seconds of that server's clock."""

    def __init__(self) -> None:
        self._tokens: dict[str, RefreshToken] = {}
        self._families: dict[str, Family] = {}

    def open(self, subject: str, client_id: str, scope: str, now: float, lifetime: float) -> tuple[Family, str]:
        """A new family and its first refresh token."""
        family = Family(secrets.token_hex(8), subject, client_id, scope)
        self._families[family.id] = family
        return family, self._issue(family, now, lifetime)[1]

    def find(self, token: str) -> RefreshToken | None:
        """What is known of a refresh token; None: it was never ours."""
        return self.find_id(token_id(token))

    def find_id(self, name: str | None) -> RefreshToken | None:
        """The same by its id (see ``token_id``)."""
        return None if name is None else self._tokens.get(name)

    def family(self, family_id: str) -> Family | None:
        """The family of an access token's ``sid``."""
        return self._families.get(family_id)

    def alive(self) -> int:
        """How many families are not revoked."""
        return sum(not family.revoked for family in self._families.values())

    def reused(self) -> int:
        """How many families were revoked for a reuse."""
        return sum(family.reused for family in self._families.values())

    def check(self, token: str, client_id: str, now: float, grace: float) -> RefreshToken:
        """The token, if this client may redeem it now. A reuse revokes the family.

        Raises:
            InvalidGrant: unknown, another client's, revoked, expired, or rotated before.
        """
        known = self.find(token)
        if known is None:
            raise InvalidGrant("unknown refresh token")
        if known.family.client_id != client_id:
            raise InvalidGrant("the refresh token was issued to another client")
        if known.family.revoked:
            raise InvalidGrant("the refresh token was revoked")
        if known.rotated_at is not None and not _in_grace(known, now, grace):
            known.family.revoked = known.family.reused = True
            raise InvalidGrant("the refresh token was used before; all tokens of this login are revoked")
        if now >= known.expires_at:
            raise InvalidGrant("the refresh token has expired")
        return known

    def rotate(self, token: RefreshToken, now: float, lifetime: float) -> str:
        """A successor. A token that is rotated again within its grace gets another one, beside the first."""
        successor, text = self._issue(token.family, now, lifetime)
        token.successors.append(successor)
        if token.rotated_at is None:
            token.rotated_at = now
        return text

    def _issue(self, family: Family, now: float, lifetime: float) -> tuple[RefreshToken, str]:
        text = secrets.token_urlsafe(32)
        token = RefreshToken(token_id(text), family, now + lifetime, now)
        self._tokens[token.id] = token
        return token, text


def _in_grace(token: RefreshToken, now: float, grace: float) -> bool:
    """Whether a rotated token may be redeemed once more.

    As Auth0's rotation overlap period and Okta's grace period: for so long after its *first* rotation, new tokens
    are issued each time, and only for the token immediately before: once a successor was itself rotated, its
    predecessor is a reuse.
    """
    if token.rotated_at is None or grace <= 0 or now - token.rotated_at > grace:
        return False
    return all(successor.rotated_at is None for successor in token.successors)
