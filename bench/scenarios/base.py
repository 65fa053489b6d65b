"""What a scenario is: who takes part, and what is done to each of them in each round."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from bench.peers import PLAIN
from bench.samples import Row, Sample
from bench.targets import Entry, Target
from bench.watch import Seen

MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Scenario(ABC):
    """One table of the report."""

    id: str
    """For ``--only`` and in the JSON."""
    title: str
    about: str
    """What is done, in one or two sentences."""
    entries: Sequence[Entry]
    columns: Sequence[str]
    """Figures, in the order of the table."""
    main: str = "rate"
    """The figure that ratios are of."""
    reference: str = "nginx"
    """The label of the row that they are to."""
    seconds: int = 2
    """Of one round of one target, where the length can be chosen."""
    quick: bool = False
    """Part of ``make bench-quick``."""
    restart: bool = False
    """Each round wants a process that has seen nothing yet."""
    needs_users: bool = field(default=False, init=False)
    """Users with refresh tokens."""

    def shortened(self) -> Self:
        """For the short form: without the slowest."""
        return replace(self, entries=[entry for entry in self.entries if entry.peer not in PLAIN])

    def prepare(self, target: Target) -> None:  # noqa: B027  # most need nothing
        """Before its first round: verify that it answers right, and warm it up."""

    @abstractmethod
    def measure(self, target: Target, seconds: int) -> tuple[Sample, Seen]:
        """One round of one target.

        Raises:
            WrongAnswerError: its figures would mean nothing.
        """

    def finish(self, rows: Sequence[Row]) -> None:  # noqa: B027  # most need nothing
        """Figures that need more than one row."""
