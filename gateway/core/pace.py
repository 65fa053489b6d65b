"""How long a peer may keep a connection busy for how many bytes (D2; RFC 9112 §9.5). Pure: time is an argument.

A bucket of patience: waiting empties it, every byte fills it up again, never beyond its size. So a pause of the
whole patience is allowed once, a slow but steady peer is never cut, and a peer that drips is cut soon after the
patience that it began with.
"""


class Pace:
    """One direction of one message. Times are seconds, sizes bytes."""

    __slots__ = ("_left", "_patience", "_rate", "_since")

    def __init__(self, patience: float, rate: float) -> None:
        """Args:
        patience: how long nothing at all may come.
        rate: the bytes a second that keep the bucket full; 0: any byte fills it up.
        """
        self._patience = self._left = patience
        self._rate = rate
        self._since: float | None = None

    def moved(self, size: int) -> None:
        """So many bytes came, or went."""
        gained = size / self._rate if self._rate else self._patience * bool(size)
        self._left += gained

    def spent(self, now: float) -> float:
        """The patience that is left, while it is the peer's turn; 0 or less: none."""
        if self._since is not None:
            self._left -= now - self._since
        self._since = now
        self._left = min(self._left, self._patience)
        return self._left

    def stop(self, now: float) -> None:
        """It is our own turn: time no longer counts."""
        if self._since is not None:
            self.spent(now)
            self._since = None
