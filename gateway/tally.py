"""Counts of what happened, in memory, in the terms of Prometheus: ``Events`` feeds it, a scrape reads it.

Labels are bounded (X11): a route is the rule's ``match`` as configured (empty: no rule's); decisions, outcomes and
notices are names in this source. Only a status is another's to choose, so the number of series is capped, and what
comes after is counted in one of few.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from gateway.core.websocket import SWITCHING_PROTOCOLS

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets, in seconds: prometheus-client's own, with finer ones below for a proxy."""
MOST = 10_000
"""Series of requests, at most: some 4 MB."""
OTHER = "other"
"""The route of all that came when there were ``MOST`` series; their statuses are told by class, as 200 or 400."""

_Key = tuple[str, str, int, bool]


class Series:
    """How often, and how long it took."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        """For each bucket alone; the last: beyond every bound."""
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def include(self, other: "Series") -> None:
        """All of ``other`` too."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


@dataclass(frozen=True, slots=True)
class Distribution:
    """One sample of a histogram."""

    buckets: tuple[tuple[float, int], ...]
    """Upper bound in seconds, and how many took no longer: cumulative. The last bound is infinite."""
    sum: float
    """Seconds, of all."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A family of counters."""

    name: str
    documentation: str
    labels: tuple[str, ...]
    samples: Mapping[tuple[str, ...], int]
    """By the values of the labels."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A family of histograms."""

    name: str
    documentation: str
    labels: tuple[str, ...]
    samples: Mapping[tuple[str, ...], Distribution]
    """By the values of the labels."""


class Tally:
    """The counts of one process. Not for several threads."""

    def __init__(self, most: int = MOST) -> None:
        """Args: most: series of requests, at most."""
        self._most = most
        self._requests: dict[_Key, Series] = {}
        self._last_key: _Key = ("", "", -1, False)
        self._last = Series()
        """The last one: the next is often the same, and to look it up would cost as much as to count."""
        self._refreshes: defaultdict[str, Series] = defaultdict(Series)
        self._notices: defaultdict[str, int] = defaultdict(int)
        self._store_errors: defaultdict[tuple[str, ...], int] = defaultdict(int)

    def request(self, route: str, decision: str, status: int, seconds: float, express: bool) -> None:  # noqa: FBT001  # by position: it is on every request's way
        """A request has ended after ``seconds``. ``status`` 0: its client left before an answer began."""
        key = self._last_key
        if not (route is key[0] and decision is key[1] and status == key[2] and express == key[3]):
            key = self._last_key = (route, decision, status, express)
            self._last = self._requests.get(key) or self._new(route, decision, status, express)
        series = self._last
        # Series.add, written out: a call would cost as much again.
        series.counts[bisect_left(BOUNDS, seconds)] += 1
        series.seconds += seconds

    def refresh(self, outcome: str, seconds: float) -> None:
        """A presentation of a refresh token has ended after ``seconds``."""
        self._refreshes[outcome].add(seconds)

    def notice(self, what: str) -> None:
        """The operator was told something."""
        self._notices[what] += 1

    def store_error(self, operation: str, reason: str) -> None:
        """The store did not do what it was asked for."""
        self._store_errors[operation, reason] += 1

    def snapshot(self) -> tuple[Counter | Histogram, ...]:
        """Every family as it stands now; nothing in it changes any more."""
        return (
            Counter("gateway_requests", "Requests ended", _REQUEST, dict(self._counted())),
            Histogram("gateway_request_duration_seconds", _LASTED, _LANE, self._durations()),
            Histogram(
                "gateway_refresh_duration_seconds",
                "From the presentation of a refresh token to the end of its answer",
                ("outcome",),
                {(outcome,): _distribution(series) for outcome, series in self._refreshes.items()},
            ),
            Counter(
                "gateway_notices",
                "Warnings and alarms in the log",
                ("what",),
                {(what,): times for what, times in self._notices.items()},
            ),
            Counter(
                "gateway_store_errors",
                "Operations that the store did not do, or not in time",
                ("operation", "reason"),
                dict(self._store_errors),
            ),
        )

    def _new(self, route: str, decision: str, status: int, express: bool) -> Series:  # noqa: FBT001
        key = (route, decision, status, express)
        if len(self._requests) >= self._most:
            key = (OTHER, decision, status // 100 * 100, express)
        return self._requests.setdefault(key, Series())

    def _counted(self) -> Iterator[tuple[tuple[str, ...], int]]:
        for (route, decision, status, express), series in self._requests.items():
            yield (route, decision, str(status), _lane(express=express)), sum(series.counts)

    def _durations(self) -> dict[tuple[str, ...], Distribution]:
        merged: defaultdict[tuple[str, str], Series] = defaultdict(Series)
        for (route, _, status, express), series in self._requests.items():
            if status != SWITCHING_PROTOCOLS:  # how long a WebSocket was open says nothing of the gateway
                merged[route, _lane(express=express)].include(series)
        return {labels: _distribution(series) for labels, series in merged.items()}


_REQUEST = ("route", "decision", "status", "lane")
_LANE = ("route", "lane")
_LASTED = "From a request's head to the end of its answer, event streams included, WebSockets not"


def _lane(*, express: bool) -> str:
    return "express" if express else "asgi"


def _distribution(series: Series) -> Distribution:
    cumulative = accumulate(series.counts)
    return Distribution(tuple(zip((*BOUNDS, float("inf")), cumulative, strict=True)), series.seconds)
