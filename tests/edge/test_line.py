"""How long a request waits for a refresh."""

import time
from types import SimpleNamespace

import pytest

from gateway.core.lifecycle import Refresh
from gateway.core.outcomes import Cause
from gateway.core.policy import Policy
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Schedule, Verified
from gateway.edge.line import ProxyLine

NOW = 1_800_000_000.0


def line(waited: float) -> ProxyLine:
    """A request that arrived ``waited`` seconds ago, with 10 s of patience."""
    fittings = SimpleNamespace(timeout=10.0, clock=lambda: NOW)
    return ProxyLine(fittings, SimpleNamespace(at=time.monotonic() - waited), send=None)


def token(left: float) -> AccessToken:
    verified = Verified("i", "ada", frozenset(), NOW + left, None, None, {})
    return AccessToken(Secret("t"), verified, Schedule(0, NOW, NOW, NOW + left, NOW + left))


@pytest.mark.parametrize(("waited", "most"), [(0, 10), (7, 3), (11, 0)])
def test_patience_counts_from_the_arrival_not_from_the_judgement(waited, most):
    """B2: CONTRACT §4.5."""
    state = Refresh(Policy(), None, Cause.EXPIRED)
    assert most - 1 < line(waited)._patience(state) <= most or most == 0


def test_a_request_leaves_while_its_own_token_still_lives():
    """R23"""
    assert line(0)._patience(Refresh(Policy(), token(left=2), Cause.AHEAD)) == 1.5


def test_a_token_that_the_api_refused_is_worth_no_hurry():
    """R18: its end is no reason to give the API's 401 back early."""
    assert line(0)._patience(Refresh(Policy(), token(left=2), Cause.REJECTED)) > 9
