"""How well everything around the gateway works: delays and mishaps, drawn from seeded dice."""

from dataclasses import dataclass, replace
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Seconds that something takes: about ``usual``, and in ``slow`` of all cases anything in ``tail``."""

    usual: float
    slow: float = 0.0
    """A share from 0 to 1."""
    tail: tuple[float, float] = (0.0, 0.0)

    def draw(self, dice: Random) -> float:
        """One of them. What is usual varies by half, and now and then by much more."""
        if self.slow and dice.random() < self.slow:
            return dice.uniform(*self.tail)
        return self.usual * (0.5 + dice.expovariate(2.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Shares are from 0 to 1, spans and means of intervals are seconds; an interval of 0 means never."""

    store_way: Delay = Delay(usual=0.0003)
    """From a replica to the store, or back."""
    store_work: float = 0.000_015
    """The server is at one command; it does one at a time."""
    store_lost: float = 0.0
    """Commands that time out: half of them were carried out."""
    news_lost: float = 0.0
    store_pauses: float = 0.0
    """Between two of them."""
    store_pause: float = 2.0
    store_restarts: float = 0.0
    """Empty, as after a failover that loses what was not replicated, at its worst."""
    store_down: float = 1.0
    auth: Delay = Delay(usual=0.15)
    auth_refused: float = 0.0
    """Token requests that never arrive."""
    auth_5xx: float = 0.0
    """Token requests that are answered, and not processed."""
    auth_lost: float = 0.0
    """Answers that break off after the server has rotated."""
    crashes: float = 0.0
    """Of some replica, with no time to give anything back."""
    replaced: float = 2.0
    """Until another one stands in its place."""
    client_lost: float = 0.0
    """Answers that do not reach their client."""
    api: float = 0.04
    """The API's answer takes so long."""

    def without_lost_answers(self) -> "Weather":
        """No answer of the authorization server is lost: neither on its way, nor with its reader."""
        return replace(self, auth_lost=0.0, crashes=0.0)


FAIR = Weather()
"""Everything works."""

SLOW_AUTH = replace(FAIR, auth=Delay(usual=0.15, slow=0.02, tail=(2.0, 12.0)))
"""One answer of the authorization server in fifty takes two to twelve seconds."""

ROUGH = replace(
    SLOW_AUTH,
    store_way=Delay(usual=0.0003, slow=0.002, tail=(0.01, 0.2)),
    store_lost=0.0005,
    news_lost=0.05,
    store_pauses=60.0,
    auth_refused=0.005,
    auth_5xx=0.01,
    auth_lost=0.002,
    crashes=20.0,
    client_lost=0.01,
)
"""All of it fails now and then, far more often than in a bad week."""
