"""For how long a decision stands: what is remembered of a request must be what would be decided anew."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lifecycle import ALWAYS, NEVER, Absent, Arrived
from gateway.core.policy import Auth, OnExpired, Policy
from gateway.core.tokens import KeysUnavailable, Rejected, Schedule
from tests.core.making import NOW, access_token

STARTS, AHEAD, HARD, ENDS, FORGOTTEN = (NOW + at for at in (-100, 100, 200, 300, 400))
TOKEN = access_token(schedule=Schedule(STARTS, AHEAD, HARD, ENDS, FORGOTTEN))
POLICIES = st.builds(
    Policy,
    auth=st.sampled_from(Auth),
    on_expired=st.sampled_from(OnExpired),
    allow_refresh_alone=st.booleans(),
    audience=st.sampled_from([frozenset(), frozenset({"api"}), frozenset({"other"})]),
)
ACCESS = st.sampled_from(
    [
        TOKEN,
        replace(TOKEN, verified=replace(TOKEN.verified, key_retired=True)),
        replace(TOKEN, verified=replace(TOKEN.verified, sender_bound=True)),
        Rejected("bad"),
        KeysUnavailable(),
        *Absent,
    ]
)
TIMES = st.floats(STARTS - 50, FORGOTTEN + 50)


@given(POLICIES, ACCESS, st.booleans(), TIMES, TIMES)
def test_a_decision_is_the_same_for_as_long_as_it_stands(policy, access, refresh, then, now):
    """T11, R18: whatever the policy and the token."""
    arrived = Arrived(policy, access, refresh)
    since, until = arrived.stands(then)
    assert not (since <= then < until) or since <= then
    if since <= now < until:
        assert arrived.next(now) == arrived.next(then)


@pytest.mark.parametrize(
    ("access", "at", "span"),
    [
        (TOKEN, NOW, (STARTS, AHEAD)),
        (TOKEN, STARTS, (STARTS, AHEAD)),
        (TOKEN, STARTS - 1, NEVER),
        (TOKEN, AHEAD, NEVER),
        (TOKEN, ENDS, NEVER),
        (Rejected("bad"), NOW, NEVER),
        (KeysUnavailable(), NOW, NEVER),
        (Absent.MISSING, NOW, ALWAYS),
    ],
)
def test_what_stands(access, at, span):
    """A fresh token's does until it is to be refreshed; a judgement that may change does not stand."""
    assert Arrived(Policy(), access, has_refresh_token=True).stands(at) == span


def test_where_nothing_is_judged_nothing_changes():
    assert Arrived(Policy(auth=Auth.OFF), TOKEN, has_refresh_token=False).stands(ENDS) == ALWAYS
