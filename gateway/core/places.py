"""Places that several lanes share: connections, seats in a queue, WebSockets (D5).

A quarter of the places is kept for the others: split evenly, it is what each lane can be *sure* of, whatever the
rest do, and no lane holds more than the other three quarters. What nobody is owed goes to whoever comes first. So
a slow lane fills its own share, and the next one does not notice; with more lanes than a quarter has places, that
holds for one slow lane, and for all of them with fewer. Everything here is O(1).
"""

_KEPT = 4
"""One place in so many is kept for the other lanes."""


class Share:
    """What one lane has of the places of one kind."""

    __slots__ = ("held", "most", "sure")

    def __init__(self, sure: int, most: int) -> None:
        self.sure = sure
        self.most = most
        self.held = 0


class Places:
    """Places of one kind. ``free`` never falls below ``owed``, so that what a lane is sure of is there."""

    __slots__ = ("_owed", "_sure", "_total", "free")

    def __init__(self, total: int, lanes: int) -> None:
        others = max(lanes - 1, 0)
        kept = max(total // _KEPT, 1) if others and total > 1 else 0
        self._sure = kept // others if others else 0
        self._total = total - kept
        self._owed = 0
        self.free = total

    def share(self, limit: int | None) -> Share:
        """A lane's share; once for each lane. ``limit``: at most so many, whatever is free."""
        most = self._total if limit is None else min(self._total, limit)
        share = Share(min(self._sure, most), most)
        self._owed += share.sure
        return share

    def open_to(self, share: Share) -> bool:
        """There is a place for this lane."""
        return share.held < share.sure or (share.held < share.most and self.free > self._owed)

    def take(self, share: Share) -> None:
        """One place less."""
        self.free -= 1
        if share.held < share.sure:
            self._owed -= 1
        share.held += 1

    def enter(self, share: Share) -> bool:
        """``open_to``, and if so ``take``, in one step: each request passes here."""
        held = share.held
        if held < share.sure:
            self._owed -= 1
        elif held >= share.most or self.free <= self._owed:
            return False
        self.free -= 1
        share.held = held + 1
        return True

    def give(self, share: Share) -> None:
        """One place back."""
        self.free += 1
        share.held -= 1
        if share.held < share.sure:
            self._owed += 1
