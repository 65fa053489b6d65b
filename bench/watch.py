"""What the machine did while something was measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import proc
from bench.targets import Target

_BUSY = 0.97
"""A core that works more than this has nothing left to give."""
_FOREIGN = 0.05
"""A share of the proxy's core that somebody else may have before a figure is doubted."""


@dataclass(slots=True)
class Seen:
    """Filled in when the watch ends."""

    cpu: float = 0.0
    """Seconds that the proxy has used."""
    proxy_core: float = 0.0
    """How busy its core was, 0 to 1."""
    load_core: float = 0.0
    foreign: float = 0.0
    """The share of the proxy's core that others have used."""
    marks: list[str] = field(default_factory=list)

    def judge(self, *, behind_a_proxy: bool) -> None:
        """Say what makes the figures doubtful."""
        if behind_a_proxy and self.load_core > _BUSY > self.proxy_core:
            self.marks.append(LOAD_BOUND)
        if self.foreign > _FOREIGN:
            self.marks.append(DISTURBED)


LOAD_BOUND = "load"
"""The load generator and the API were the limit, not the proxy."""
DISTURBED = "disturbed"
"""Another program had a part of the proxy's core."""


@contextmanager
def watching(target: Target) -> Iterator[Seen]:
    """Watch both cores and the proxy for the length of the block."""
    seen, stage = Seen(), target.stage
    proxy, load, cpu = proc.core_time(stage.proxy_core), proc.core_time(stage.load_core), target.cpu_seconds()
    yield seen
    seen.cpu = target.cpu_seconds() - cpu
    after = proc.core_time(stage.proxy_core)
    seen.proxy_core, seen.load_core = after.since(proxy), proc.core_time(stage.load_core).since(load)
    busy = after.busy_seconds(proxy)
    elapsed = (after.total - proxy.total) / proc.TICKS
    seen.foreign = max(0.0, busy - seen.cpu) / elapsed if elapsed else 0.0
    seen.judge(behind_a_proxy=target.program is not None)
