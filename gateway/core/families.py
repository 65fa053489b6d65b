"""Token families: which tokens succeeded which, and how long an old pair is still answered (CONTRACT §4.3).

A refresh token that was rotated has *successors*. All tokens that grew out of one login are a family; each
refresh token has its number in it, and the family keeps the newest tokens only. So the chain is followed in one
step, however often a client missed an answer.

A successor is *claimed* when a request carries its refresh token or a later one. Numbers below a claim are
served for ``grace`` after the first such claim, and then never again: what presents them goes to the
authorization server, whose theft detection must see it.
"""

import json
from dataclasses import dataclass, replace

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
    """(number presented, when it was first), both growing; at most one entry whose grace has passed."""

    def claimed(self, number: int, now: float, grace: float) -> "Family":
        """A request carried refresh token ``number``. Returns this very object where that changes nothing."""
        if number <= 0 or any(number <= claimed for claimed, _ in self.claims):
            return self
        spent = [c for c in self.claims if c[1] + grace <= now]
        living = [c for c in self.claims if c[1] + grace > now]
        return replace(self, claims=(*spent[-1:], *living, (number, now)))

    def serves(self, number: int, now: float, grace: float) -> bool:
        """Whether refresh token ``number`` may still be answered with the newest tokens."""
        return all(now < at + grace for claimed, at in self.claims if claimed > number)

    @property
    def fully_claimed(self) -> bool:
        """The client has the newest refresh token: nothing waits to be fetched."""
        return self.number == 0 or any(claimed >= self.number for claimed, _ in self.claims)

    def grown(self, newest: Stored, *, rotated: bool) -> "Family":
        """The family after one more grant."""
        return replace(self, newest=newest, number=self.number + rotated)


@dataclass(frozen=True, slots=True)
class Member:
    """Where a refresh token stands: its family's key and its number there."""

    family: str
    number: int


def dump_family(family: Family) -> bytes:
    """As the store keeps it. (A shared store seals it.)"""
    newest = family.newest
    record = {
        "access": newest.access.reveal(),
        "refresh": newest.refresh.reveal(),
        "at": newest.obtained.at,
        "lifetime": newest.obtained.lifetime,
        "number": family.number,
        "claims": family.claims,
    }
    return _encode(record).encode()


def load_family(data: bytes) -> Family:
    """The inverse of ``dump_family``."""
    record = json.loads(data)
    obtained = Obtained(record["at"], record["lifetime"])
    newest = Stored(Secret(record["access"]), Secret(record["refresh"]), obtained)
    return Family(newest, record["number"], tuple((number, at) for number, at in record["claims"]))


def dump_member(member: Member) -> bytes:
    """As the store keeps it."""
    return _encode([member.family, member.number]).encode()


def load_member(data: bytes) -> Member:
    """The inverse of ``dump_member``."""
    family, number = json.loads(data)
    return Member(family, number)
