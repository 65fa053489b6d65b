"""Who gets the next connection, where several routes share one upstream (D5).

Every rule that leads to an upstream has a lane of its own, with a share of the connections and of the queue for
them (``gateway.core.places``). Inside a lane the first to come is the first served. A place that comes free goes to
a lane that holds less than it is sure of, else to the lanes in turn. Everything here is O(1) in connections,
waiters and lanes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Generic, TypeVar

from gateway.core.errors import Overloaded
from gateway.core.places import Places, Share

T = TypeVar("T")


class Lane(Generic[T]):
    """The requests of one rule: those that have a connection, and those that wait for one."""

    __slots__ = ("places", "ring", "seats", "waiters")

    def __init__(self, places: Share, seats: Share) -> None:
        self.places = places
        self.seats = seats
        self.waiters: OrderedDict[asyncio.Future[T], None] = OrderedDict()
        self.ring: OrderedDict[Lane[T], None] | None = None
        """Where it waits for its turn; None: nobody waits, or it holds as much as it may."""


class Lanes(Generic[T]):
    """The lanes of one upstream: places (its connections) and seats (of those who wait for a place)."""

    def __init__(self, places: int, seats: int, limits: Mapping[int, int | None]) -> None:
        """Args:
        places: connections at once, all lanes together.
        seats: requests that may wait, all lanes together.
        limits: the lanes by number, each with the most places that it may hold, or None.
        """
        self._places = Places(places, len(limits))
        self._seats = Places(seats, len(limits))
        self._total = (places, seats)
        self._lanes: dict[int, Lane[T]] = {
            number: Lane(self._places.share(limit), self._seats.share(None)) for number, limit in limits.items()
        }
        self._owed: OrderedDict[Lane[T], None] = OrderedDict()
        self._others: OrderedDict[Lane[T], None] = OrderedDict()

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return self._total[0] - self._places.free

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._total[1] - self._seats.free

    def __getitem__(self, number: int) -> Lane[T]:
        return self._lanes[number]

    def open_to(self, lane: Lane[T]) -> bool:
        """There is a place for this lane. Nobody of it waits then: who may have a place is given one at once."""
        return self._places.open_to(lane.places)

    def enter(self, lane: Lane[T]) -> bool:
        """Take a place, if there is one for this lane."""
        return self._places.enter(lane.places)

    def take(self, lane: Lane[T]) -> None:
        """A place that is open to this lane."""
        self._places.take(lane.places)

    def give(self, lane: Lane[T]) -> None:
        """A place back. ``next`` says who gets it."""
        self._places.give(lane.places)
        if lane.waiters:  # else it stands in no ring
            self._line_up(lane)

    def queue(self, lane: Lane[T], turn: asyncio.Future[T]) -> None:
        """Wait.

        Raises:
            Overloaded: there is no seat for this lane.
        """
        if not self._seats.open_to(lane.seats):
            raise Overloaded
        self._seats.take(lane.seats)
        lane.waiters[turn] = None
        self._line_up(lane)

    def unqueue(self, lane: Lane[T], turn: asyncio.Future[T]) -> None:
        """Wait no longer. Idempotent."""
        if turn in lane.waiters:
            del lane.waiters[turn]
            self._seats.give(lane.seats)
            self._line_up(lane)

    def next(self) -> tuple[Lane[T], asyncio.Future[T]] | None:
        """Who may have a place, which is then taken; None: nobody."""
        while (self._owed or self._others) and (lane := self._first()):
            turn, _ = lane.waiters.popitem(last=False)
            self._seats.give(lane.seats)
            if lane.ring is not None:
                lane.ring.move_to_end(lane)
            if not turn.done():
                self._places.take(lane.places)
            self._line_up(lane)
            if not turn.done():
                return lane, turn
        return None

    def everybody(self) -> list[asyncio.Future[T]]:
        """All who wait."""
        return [turn for lane in self._lanes.values() for turn in lane.waiters]

    def _first(self) -> Lane[T] | None:
        ring = self._owed or self._others
        lane = next(iter(ring), None)
        return lane if lane is not None and self._places.open_to(lane.places) else None

    def _line_up(self, lane: Lane[T]) -> None:
        """Into the ring where it belongs, at the end; its place in it is kept while it stays."""
        share, ring = lane.places, None
        if lane.waiters and share.held < share.most:
            ring = self._owed if share.held < share.sure else self._others
        if ring is not lane.ring:
            if lane.ring is not None:
                del lane.ring[lane]
            lane.ring = ring
            if ring is not None:
                ring[lane] = None
