"""What holds on every way through the states, whatever the world answers (gateway/core/lifecycle.py)."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import errors
from gateway.core.lifecycle import (
    Absent,
    Alongside,
    Arrived,
    Forward,
    Pass,
    Refresh,
    Refuse,
    Relay,
    Settle,
    UpstreamAnswer,
)
from gateway.core.outcomes import Cause, Dead, Failed, Mismatched, Renewed
from gateway.core.policy import Auth, OnExpired, OnUpstream401, Policy
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, KeysUnavailable, Obtained, Rejected, TokenSet, Windows, schedule
from tests.core.making import API, NOW, verified

WINDOWS = Windows(ahead=60, hard=5, leeway=2, max_expired_age=1000)
MOST_STEPS = 5


def mostly(usual, *others, weight=4):
    """Long ways through the states are rare where every fact is a coin's toss."""
    return st.sampled_from([usual] * weight + list(others))


@st.composite
def tokens(draw, raw, ends, *, sound=False):
    """A token that ends at one of ``ends``; a sound one has nothing else that decides."""
    facts = verified(ends=NOW + draw(st.sampled_from(ends)), issued=NOW - 2000)
    if not sound:
        facts = replace(
            facts,
            not_before=draw(mostly(None, NOW + 50)),
            audience=frozenset({draw(mostly("api", "other"))}),
            key_retired=draw(mostly(False, True)),
            sender_bound=draw(mostly(False, True)),
        )
    obtained = draw(st.sampled_from([None, Obtained(NOW - 5, None), Obtained(NOW - 50, None)]))
    return AccessToken(Secret(raw), facts, schedule(raw, facts, WINDOWS, obtained), obtained)


def renewed(new):
    return st.builds(Renewed, st.builds(TokenSet, new, st.just(Secret("rt2"))), st.booleans())


@dataclass(frozen=True)
class World:
    """What may come."""

    policies: st.SearchStrategy
    presented: st.SearchStrategy
    outcomes: st.SearchStrategy
    answers: st.SearchStrategy


FAILED = st.sampled_from([Dead(), Dead("answer_lost"), Mismatched(), Failed(errors.AUTH_SERVER_UNAVAILABLE)])
ANY = World(
    st.builds(
        Policy,
        auth=st.sampled_from(Auth),
        on_expired=st.sampled_from(OnExpired),
        on_upstream_401=st.sampled_from(OnUpstream401),
        audience=st.sampled_from([frozenset(), API]),
        allow_refresh_alone=st.booleans(),
        pass_sender_bound=st.booleans(),
    ),
    tokens("own", [-1200, -500, -20, -1, 1, 4, 30, 50, 200])
    | st.sampled_from([Rejected("bad"), KeysUnavailable(), *Absent]),
    renewed(tokens("new", [-20, 20, 200, 2000])) | FAILED,
    st.builds(UpstreamAnswer, st.sampled_from([200, 401, 403, 500]), st.booleans()),
)
TROUBLESOME = World(
    st.just(Policy(on_upstream_401=OnUpstream401.ANY, audience=API)),
    tokens("own", [-500, -1, 4, 30, 200], sound=True),
    renewed(tokens("new", [2000], sound=True)) | renewed(tokens("new", [20, 2000])) | FAILED,
    st.builds(UpstreamAnswer, mostly(401, 200, weight=9), st.booleans()),
)
"""Nearly every answer is a refusal: the longest ways that there are."""

STEPS = mostly(0, 1, 30, 70, 1100)


@dataclass
class Walk:
    """One request driven through its states, and what happened on the way."""

    data: st.DataObject
    world: World
    now: float = NOW
    sends: list = field(default_factory=list)
    refreshes: int = 0
    outcome: object = None
    steps: int = 0

    def end(self, state):
        while not isinstance(state, Pass | Relay | Refuse):
            self.steps += 1
            state = self._step(state)
        return state

    def _step(self, state):
        match state:
            case Forward(token=token):
                return self._sent(state, token)
            case Alongside(token=token):
                self._asked()
                return self._sent(state, token)
            case Settle():
                return state.next(self.outcome)
            case Refresh():
                if state.cause is not Cause.REJECTED or self.outcome is None:
                    self._asked()
                self.now += self.data.draw(STEPS)
                return state.next(self.outcome, self.now)

    def _asked(self):
        """One ticket for a request: what it finds stays found."""
        self.refreshes += 1
        self.outcome = self.data.draw(self.world.outcomes)

    def _sent(self, state, token):
        self.sends.append((token, self.now))
        self.now += self.data.draw(STEPS)
        return state.next(
            self.data.draw(self.world.answers), self.now, replayable=self.data.draw(mostly(True, False))
        )


def usable(token, policy, now):
    return token.schedule.age(now).valid and not token.verified.key_retired and token.meets(policy.audience)


@pytest.mark.parametrize("world", [ANY, TROUBLESOME], ids=["any", "troublesome"])
@settings(max_examples=4 * settings.default.max_examples)
@given(data=st.data())
def test_every_way_through_the_states_keeps_the_rules(world, data):
    """R18, T11, R22: at most one refresh, at most two sends, nothing unverified or expired goes out, and a token
    that lives is refused for nothing but two users' tokens in one request.
    """
    policy, presented = data.draw(world.policies), data.draw(world.presented)
    has_refresh = data.draw(mostly(True, False))
    walk = Walk(data, world)
    end = walk.end(Arrived(policy, presented, has_refresh).next(walk.now))

    assert walk.steps <= MOST_STEPS
    assert walk.refreshes <= 1
    assert len(walk.sends) <= 2
    assert not (walk.refreshes and not (has_refresh and policy.on_expired is OnExpired.REFRESH))
    if isinstance(end, Relay):
        assert walk.sends
    for token, sent_at in walk.sends:
        assert usable(token, policy, sent_at)
        assert token is presented or token is walk.outcome.tokens.access
    assert len({id(token) for token, _ in walk.sends}) == len(walk.sends)
    if isinstance(end, Refuse) and isinstance(presented, AccessToken) and walk.steps:
        alive = usable(presented, policy, walk.now)
        assert end.problem == errors.SUBJECT_MISMATCH if alive else end.problem.status in (401, 503)
    if isinstance(end, Pass):
        assert policy.auth is not Auth.REQUIRED
