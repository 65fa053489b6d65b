"""Figures: what they are called, and the arithmetic of rounds. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Figure:
    """One kind of figure."""

    title: str
    digits: int = 0
    more_is_better: bool = False
    trifle: float = 0.0
    """A difference that nobody would call a loss."""


FIGURES: Mapping[str, Figure] = {
    "rate": Figure("requests/s", more_is_better=True),
    "p50": Figure("p50 ms", 2),
    "p99": Figure("p99 ms", 2),
    "cpu": Figure("CPU µs/request", 1),
    "added_p50": Figure("added p50 ms", 3),
    "refreshes": Figure("refreshes/s", more_is_better=True),
    "cpu_refresh": Figure("CPU ms/refresh", 2),
    "added_p99": Figure("added p99 ms", 2),
    "token_requests": Figure("token requests"),
    "of_ideal": Figure("of the ideal", 3, more_is_better=True),
    "mb_s": Figure("MB/s", more_is_better=True),
    "cpu_gb": Figure("CPU s/GiB", 2),
    "kb_request": Figure("KB/request in flight", 1),
    "growth": Figure("growth MB", 1, trifle=1.0),
    "kb_client": Figure("KB/idle client", 1),
    "peak": Figure("peak MB", 1),
}
"""Every figure by its key in the JSON. Times of requests are milliseconds."""

Sample = dict[str, float]
"""One round of one target, by keys of FIGURES."""


@dataclass(slots=True)
class Row:
    """All rounds of one target in one scenario."""

    label: str
    samples: list[Sample] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    """Of the rounds that were doubtful, one entry each."""
    ratio: float | None = None
    """Of the scenario's main figure to the reference's, in the same round; their median."""

    def median(self, key: str) -> float | None:
        """The median of all rounds; None where the figure was not taken."""
        values = [sample[key] for sample in self.samples if key in sample]
        return median(values) if values else None

    def doubtful(self, mark: str) -> bool:
        """Whether half of the rounds bear the mark, or more."""
        return 2 * self.marks.count(mark) >= max(len(self.samples), 1)


def percentile(values: Sequence[float], percent: int) -> float:
    """By linear interpolation between closest ranks, as numpy does it. At least two values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def ratio(row: Row, reference: Row, key: str) -> float | None:
    """The median of the ratios in each round: a machine that slows down slows both."""
    pairs = zip(row.samples, reference.samples, strict=False)
    found = [ours[key] / theirs[key] for ours, theirs in pairs if key in ours and theirs.get(key)]
    return median(found) if found else None


def compare(rows: Sequence[Row], reference: str, key: str) -> None:
    """Write the ratio to the row of that label into each row; nothing where there is none."""
    against = next((row for row in rows if row.label == reference), None)
    for row in rows:
        row.ratio = ratio(row, against, key) if against else None


def subtract(rows: Sequence[Row], base: str, key: str, into: str) -> None:
    """What each row's figure is above the base's in the same round, as a figure of its own."""
    below = next(row for row in rows if row.label == base)
    for row in rows:
        if row is below:
            continue
        for sample, under in zip(row.samples, below.samples, strict=False):
            sample[into] = sample[key] - under[key]
