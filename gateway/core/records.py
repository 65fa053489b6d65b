"""What a store of records and leases says: values that the refresher and every store share."""

from dataclasses import dataclass, field


class StoreUnavailable(Exception):  # noqa: N818  # named for the code that it becomes
    """The store did not do what it was asked for, or did not say so in time: it may have done it all the same.

    Its text names no record and quotes no value.
    """


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored value and its generation, which every write changes."""

    value: bytes = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class FamilyRecord:
    """A family as it is stored, seen from one of its refresh tokens."""

    name: str
    """The record's own name."""
    number: int
    """Of the refresh token that was looked up."""
    value: bytes = field(repr=False)
    version: int
    claims: tuple[tuple[int, float], ...] = ()
    """(number presented, Unix seconds when it first was), numbers growing."""
    time: float | None = None
    """Unix seconds by the clock of ``claims``, where that is the store's own: replicas' clocks may differ (B25)."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A presentation that somebody announced before it left, and has not resolved."""

    owner: str
    """Who holds, or held, the lease for it."""
    age: float
    """Seconds since it was written, by the store's own clock."""
    ended: bool
    """Its flight is over, and no OAuth answer could be read: the server may have rotated (CONTRACT §4.5)."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """The lease is the asker's."""

    intent: Intent | None = None
    """What an earlier holder has left."""


@dataclass(frozen=True, slots=True)
class Busy:
    """The lease is another's, or must not be given out yet."""

    wait: float | None = None
    """Seconds until asking again makes sense, where the store knows: its leases may have been lost with a restart,
    and whoever holds one renews it first. None: it has a holder."""
