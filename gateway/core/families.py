"""Token families: which tokens succeeded which, and how long an old pair is still answered (CONTRACT §4.3).

A refresh token that was rotated has *successors*. All tokens that grew out of one login are a family; each
refresh token has its number in it, and the family keeps the newest tokens only. So the chain is followed in one
step, however often a client missed an answer.

A successor is *claimed* when a request carries its refresh token or a later one. Numbers below a claim are
served for ``grace`` after the first such claim, and then never again: what presents them goes to the
authorization server, whose theft detection must see it.
"""

import json
from dataclasses import dataclass

from gateway.core.secret import Secret
from gateway.core.tokens import Obtained

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Stored:
    """The newest tokens of a family, verified or not."""

    access: Secret
    refresh: Secret
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class Family:
    """One family's record."""

    newest: Stored
    number: int
    """The number of the newest refresh token: the first one seen is 0, each rotation adds 1."""
    claims: tuple[tuple[int, float], ...] = ()
    """(number presented, when it was first), numbers growing: what the store has noted. No number is noted after a
    later one."""
    before: str = ""
    """The key of the refresh token before the newest one, where that is known."""

    def serves(self, number: int, now: float, grace: float) -> bool:
        """Whether refresh token ``number`` may still be answered with the newest tokens."""
        return all(now < at + grace for claimed, at in self.claims if claimed > number)

    @property
    def fully_claimed(self) -> bool:
        """The client has the newest refresh token: nothing waits to be fetched."""
        return self.number == 0 or self.has_claimed(self.number)

    def has_claimed(self, number: int) -> bool:
        """The client has refresh token ``number``, or a later one: those before it have had their time."""
        return any(claimed >= number for claimed, _ in self.claims)

    def grown(self, newest: Stored, key: str, *, rotated: bool, now: float, grace: float) -> "Family":
        """The family after one more grant, for the refresh token under ``key``.

        Of the claims whose grace has passed only the latest is still needed.
        """
        spent = [claim for claim in self.claims if claim[1] + grace <= now]
        living = [claim for claim in self.claims if claim[1] + grace > now]
        return Family(newest, self.number + rotated, (*spent[-1:], *living), key if rotated else self.before)


def dump_family(family: Family) -> bytes:
    """As the store keeps it, without the claims, which it notes itself. (A shared store seals it.)"""
    newest = family.newest
    record = {
        "access": newest.access.reveal(),
        "refresh": newest.refresh.reveal(),
        "at": newest.obtained.at,
        "lifetime": newest.obtained.lifetime,
        "number": family.number,
        "before": family.before,
    }
    return _encode(record).encode()


def load_family(data: bytes, claims: tuple[tuple[int, float], ...]) -> Family:
    """The inverse of ``dump_family``, with what the store has noted.

    Raises:
        ValueError: it is not a family as this version knows it.
    """
    try:
        record = json.loads(data)
        obtained = Obtained(record["at"], record["lifetime"])
        newest = Stored(Secret(record["access"]), Secret(record["refresh"]), obtained)
        return Family(newest, record["number"], claims, record["before"])
    except (LookupError, TypeError):
        raise ValueError("not a family of this version") from None
