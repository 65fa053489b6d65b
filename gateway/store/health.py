"""Whether the store answers: told once when that changes, however many requests find out."""

from collections.abc import Callable

from gateway.core.records import StoreUnavailable
from gateway.events import Emit, Noticed, StoreFailed

STEADY = 1.0
"""Seconds without a failure after which the store is said to be back: one that fails now and then must not fill the
log."""


class Health:
    """What the operations of one process say about its store."""

    def __init__(self, emit: Emit, clock: Callable[[], float], *, consequence: str) -> None:
        """Args: clock: monotonic seconds; consequence: what its absence means for clients, in a sentence."""
        self._emit = emit
        self._clock = clock
        self._consequence = consequence
        self._failed_at: float | None = None
        self._records_dropped = False
        self._key_unknown = False
        self._deaf = False

    @property
    def away(self) -> bool:
        """The last thing told was a failure."""
        return self._failed_at is not None

    def failed(self, operation: str, error: StoreUnavailable) -> None:
        """It did not answer, or refused."""
        reason = str(error)
        self._emit(StoreFailed(operation=operation, reason=reason))
        if self._failed_at is None:
            self._emit(Noticed(what="store_unavailable", detail=f"{reason}; {self._consequence}", alarm=True))
        self._failed_at = self._clock()

    def worked(self) -> None:
        """It did what it was asked for."""
        if self._failed_at is not None and self._clock() - self._failed_at >= STEADY:
            self._failed_at = None
            self._emit(Noticed(what="store_available", detail="the store answers again"))

    def dropped(self) -> None:
        """A record was corrupt, and was forgotten (B21)."""
        self._emit(StoreFailed(operation="open", reason="corrupt"))
        if not self._records_dropped:
            self._records_dropped = True
            remedy = "something other than a gateway writes to the store; the affected records are forgotten"
            self._emit(Noticed(what="store_record_dropped", detail=f"not what was sealed: {remedy}", alarm=True))

    def deaf(self) -> None:
        """The server lets us not listen to what is published: who waits polls."""
        if not self._deaf:
            self._deaf = True
            remedy = "give its user the channels evergreen:*; until then who waits for a refresh polls"
            self._emit(Noticed(what="store_channels_refused", detail=f"may not subscribe: {remedy}", alarm=True))

    def unreadable(self) -> None:
        """A record is sealed with a key that is not ours; it stays as it is (B21)."""
        self._emit(StoreFailed(operation="open", reason="unknown key"))
        if not self._key_unknown:
            self._key_unknown = True
            remedy = (
                "store.keys must hold every key that is in use; until then its users' refreshes are answered 503"
            )
            self._emit(Noticed(what="store_key_unknown", detail=f"sealed with another key: {remedy}", alarm=True))
