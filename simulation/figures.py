"""What a run has found."""

import math
from collections import Counter
from dataclasses import asdict, dataclass, field

from gateway.refresher.presentation import ANSWER_LOST
from simulation.auth_server import Counts, Login
from simulation.store_server import Load


@dataclass(slots=True)
class Tally:
    """What clients saw."""

    requests: int = 0
    waits: list[float] = field(default_factory=list)
    blocked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    """Tokens of another user's, handed out."""
    expired_at_api: int = 0
    spurious: int = 0
    """Users told to sign in again although no answer of the authorization server was lost."""
    unlabelled: int = 0
    """Users told so because one was lost, and not told that."""
    answer_lost: int = 0
    """Users told so, and told that one was lost."""

    def waited(self, seconds: float, *, blocked: bool) -> None:
        """One request did, for new tokens; ``blocked``: before it could go to the API."""
        self.waits.append(seconds)
        self.blocked += blocked

    def logged_out(self, login: Login, reason: str | None) -> None:
        """Its refresh token is dead; each login dies once."""
        if login.out:
            return
        login.out = True
        if not login.answer_lost:
            self.spurious += 1
        elif reason != ANSWER_LOST:
            self.unlabelled += 1
        else:
            self.answer_lost += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one run, ready for tables. Seconds, if nothing else is said."""

    requests: int
    refreshes: int
    """Pairs that the authorization server has granted."""
    spurious_logouts: int
    unlabelled_logouts: int
    answer_lost_logouts: int
    reuses: int
    """Rotated tokens presented again without need: the cause of spurious logouts."""
    at_once: int
    """Presentations of a token while it was being presented."""
    foreign_tokens: int
    token_requests_per_refresh: float
    auth_rate: float
    """Token requests per second."""
    auth_peak: int
    """In the busiest second."""
    store_rate: float
    """Commands per second."""
    store_peak: int
    claims_per_request: float
    """Commands that note that a client has its new tokens: all that a fresh token costs."""
    commands_per_refresh: float
    """All others."""
    renewals_per_refresh: float
    leases_lost: int
    """By replicas that live: what they wanted to renew, or to present under, was another's."""
    takeovers: int
    """Leases that came with somebody's open intent: of a dead replica, or of one that could not renew in time."""
    requests_per_refresh: float
    waits_per_refresh: float
    waiting: float
    """The share of requests that waited for new tokens, from 0 to 1."""
    blocked: float
    """The share of those that waited before they could go to the API, because their token was about to end."""
    wait_mean: float
    wait_p50: float
    wait_p99: float
    wait_most: float
    refused: float
    """The share of requests that got no answer of the API's, logouts included."""


def figures(tally: Tally, auth: Counts, store: Load, seconds: float) -> Figures:
    """Of a run that took ``seconds``."""
    grants, requests = max(auth.grants, 1), max(tally.requests, 1)
    waits = sorted(tally.waits)
    total, claims = store.commands.total(), store.commands["claim"]
    return Figures(
        requests=tally.requests,
        refreshes=auth.grants,
        spurious_logouts=tally.spurious,
        unlabelled_logouts=tally.unlabelled,
        answer_lost_logouts=tally.answer_lost,
        reuses=auth.reuses,
        at_once=auth.at_once,
        foreign_tokens=tally.foreign,
        token_requests_per_refresh=auth.requests / grants,
        auth_rate=auth.requests / seconds,
        auth_peak=max(auth.by_second.values(), default=0),
        store_rate=total / seconds,
        store_peak=max(store.by_second.values(), default=0),
        claims_per_request=claims / requests,
        commands_per_refresh=(total - claims) / grants,
        renewals_per_refresh=store.commands["renew"] / grants,
        leases_lost=store.leases_lost,
        takeovers=store.takeovers,
        requests_per_refresh=requests / grants,
        waits_per_refresh=len(waits) / grants,
        waiting=len(waits) / requests,
        blocked=tally.blocked / requests,
        wait_mean=sum(waits) / max(len(waits), 1),
        wait_p50=percentile(waits, 0.5),
        wait_p99=percentile(waits, 0.99),
        wait_most=waits[-1] if waits else 0.0,
        refused=tally.refused.total() / requests,
    )


def percentile(values: list[float], share: float) -> float:
    """The nearest rank of sorted ``values``; 0 where there are none."""
    return values[max(math.ceil(share * len(values)) - 1, 0)] if values else 0.0


def rounded(found: Figures) -> dict[str, float]:
    """Three digits, for JSON: more would say nothing."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in asdict(found).items()
    }
