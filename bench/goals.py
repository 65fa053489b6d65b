"""What the figures have to be, and whether they are."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.peers import ASGI, ENVOY, EXPRESS, NGINX
from bench.results import Results
from bench.samples import ratio

Value = Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """One promise about speed."""

    text: str
    value: Value
    limit: float
    at_least: bool = False
    """Otherwise at most."""
    digits: int = 2

    def met(self, value: float) -> bool:
        """Whether a value keeps the promise."""
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def bound(self) -> str:
        """As text."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}"


def _figure(scenario: str, label: str, key: str) -> Value:
    def value(results: Results) -> float | None:
        row = results.row(scenario, label)
        return row.median(key) if row else None

    return value


def _ratio(scenario: str, label: str, other: str, key: str) -> Value:
    """In the same round; their median."""

    def value(results: Results) -> float | None:
        row, against = results.row(scenario, label), results.row(scenario, other)
        return ratio(row, against, key) if row and against else None

    return value


_US, _SLOW_LANE, _LIMIT, _RIVAL = EXPRESS.name, ASGI.name, NGINX.name, ENVOY.name
_ONE, _MANY = f"{_US} · 1 route", f"{_US} · 10,000 routes"
_MEMORY, _REDIS = f"{_US} · memory", f"{_US} · Redis"

GOALS = [
    Goal("fresh token, 64 clients: ASGI lane to nginx", _ratio("fresh", _SLOW_LANE, _LIMIT, "rate"), 0.40, True),
    Goal("… express lane to nginx", _ratio("fresh", _US, _LIMIT, "rate"), 0.60, True),
    Goal("… express lane to nginx, the further goal", _ratio("fresh", _US, _LIMIT, "rate"), 0.80, True),
    Goal("… express lane to Envoy", _ratio("fresh", _US, _RIVAL, "rate"), 1.5, True),
    Goal("… express lane to Envoy, the further goal", _ratio("fresh", _US, _RIVAL, "rate"), 2.0, True),
    Goal("… p99 to nginx's", _ratio("fresh", _US, _LIMIT, "p99"), 2.0),
    Goal("one client: added p50, ms", _figure("clients-1", _US, "added_p50"), 0.2, digits=3),
    Goal("… to Envoy's", _ratio("clients-1", _US, _RIVAL, "added_p50"), 1.0),
    Goal("1,000 slow answers: throughput, of the ideal", _figure("slow-1000", _US, "of_ideal"), 0.90, True),
    Goal("… p99, ms, where the API takes 1,000", _figure("slow-1000", _US, "p99"), 1200, digits=0),
    Goal("4,096 idle clients: KB each", _figure("idle-4096", _US, "kb_client"), 30, digits=1),
    Goal("1 GiB down: MB/s to nginx's", _ratio("stream-down", _US, _LIMIT, "mb_s"), 1.0, True),
    Goal("… growth, MB", _figure("stream-down", _US, "growth"), 64, digits=1),
    Goal("1 GiB up: MB/s to nginx's", _ratio("stream-up", _US, _LIMIT, "mb_s"), 1.0, True),
    Goal("… growth, MB", _figure("stream-up", _US, "growth"), 64, digits=1),
    Goal("2,000 expired users: own CPU ms per refresh", _figure("expired", _US, "cpu_refresh"), 1.5),
    Goal("200 refreshes a second: added p99, ms", _figure("expired-200", _US, "added_p99"), 20, digits=1),
    Goal("1,000 at once on one token: token requests", _figure("crowd", _US, "token_requests"), 1, digits=0),
    Goal("Redis to memory, tokens already seen: throughput", _ratio("store", _REDIS, _MEMORY, "rate"), 0.95, True),
    Goal("10,000 routes to one route: throughput", _ratio("routes", _MANY, _ONE, "rate"), 0.95, True),
]
