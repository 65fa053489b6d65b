"""Everything that is measured, in the order of the report."""

from bench.scenarios.base import Scenario
from bench.scenarios.refreshing import ALL_REFRESHING
from bench.scenarios.streams import ALL_STREAMS
from bench.scenarios.throughput import ALL_THROUGHPUT
from bench.scenarios.waiting import ALL_WAITING

ALL: list[Scenario] = [*ALL_THROUGHPUT, *ALL_REFRESHING, *ALL_STREAMS, *ALL_WAITING]
