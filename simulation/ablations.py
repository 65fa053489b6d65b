"""What the journal and the renewal are for: the same fleet without them, as the locks that are in use elsewhere."""

from gateway.core.records import Acquired, Busy
from simulation.store_engine import StoreEngine


class WithoutJournal(StoreEngine):
    """Nobody writes down what was presented, nor looks."""

    async def acquire(self, lease: str, intent: str, owner: str, ttl: float, *, settling: float) -> Acquired | Busy:
        """Whoever gets the lease knows nothing."""
        found = await super().acquire(lease, intent, owner, ttl, settling=settling)
        return Acquired() if isinstance(found, Acquired) else found

    async def intend(self, lease: str, intent: str, owner: str, ttl: float) -> bool:  # noqa: ARG002  # a port's
        """Whoever had the lease once goes on."""
        return True

    async def resolve(self, intent: str, owner: str, *, lost: bool) -> None:  # noqa: ARG002  # a port's
        """There is nothing to resolve."""
        self.note(intent, lost=lost)


class WithoutRenewal(StoreEngine):
    """A lease ends when it ends, whoever is still at work."""

    async def renew(
        self,
        lease: str,  # noqa: ARG002  # a port's, as all of them
        intent: str,  # noqa: ARG002
        owner: str,  # noqa: ARG002
        ttl: float,  # noqa: ARG002
        *,
        announced: float | None = None,  # noqa: ARG002
        kept: float = 0.0,  # noqa: ARG002
    ) -> bool:
        """Says that it was, and does nothing."""
        return True


class PlainLock(WithoutJournal, WithoutRenewal):
    """A lock with an expiry, and nothing else."""


ENGINES: dict[str, type[StoreEngine]] = {
    "": StoreEngine,
    "no journal": WithoutJournal,
    "no renewal": WithoutRenewal,
    "plain lock": PlainLock,
}
"""By what is left out."""
