"""The decision table of CONTRACT §3, cell by cell."""

import pytest

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
from gateway.core.tokens import Age, KeysUnavailable, Obtained, Rejected, TokenSet
from tests.core.making import API, AT, NOW, access_token, living

NAMES = {Pass: "pass", Forward: "forward", Alongside: "alongside", Refresh: "refresh", Relay: "relay"}


def name(state):
    """A decision as the tables below write it: the state, or the code of the refusal."""
    return state.problem.code if isinstance(state, Refuse) else NAMES[type(state)]


def decided(age, *, refresh, policy=None, **facts):
    return name(Arrived(policy or Policy(audience=API), access_token(**facts), refresh).next(AT[age]))


AGES = [Age.EARLY, Age.FRESH, Age.AHEAD, Age.HARD, Age.EXPIRED, Age.FORGOTTEN]

# on_expired, refresh token | early, fresh, ahead, hard, expired, forgotten
BY_AGE = """
refresh  yes | invalid_token  forward  alongside  refresh  refresh           expired_token
refresh  no  | invalid_token  forward  forward    forward  expired_token     expired_token
signal   yes | invalid_token  forward  forward    forward  refresh_required  expired_token
signal   no  | invalid_token  forward  forward    forward  refresh_required  expired_token
reject   yes | invalid_token  forward  forward    forward  expired_token     expired_token
reject   no  | invalid_token  forward  forward    forward  expired_token     expired_token
"""


def rows(table):
    for line in table.strip().splitlines():
        facts, _, cells = line.partition("|")
        yield facts.split(), cells.split()


@pytest.mark.parametrize(
    ("on_expired", "refresh", "age", "expected"),
    [
        (facts[0], facts[1] == "yes", age, cell)
        for facts, cells in rows(BY_AGE)
        for age, cell in zip(AGES, cells, strict=True)
    ],
)
@pytest.mark.parametrize("auth", [Auth.REQUIRED, Auth.OPTIONAL])
def test_a_verified_token_is_decided_by_its_age(auth, on_expired, refresh, age, expected):
    """R4 (forgotten), T2 (early), and every row of a token that verifies."""
    policy = Policy(auth=auth, on_expired=OnExpired(on_expired), audience=API)
    assert decided(age, refresh=refresh, policy=policy) == expected


# what is presented | required, optional, off; the same with and without a refresh token
OTHERWISE = {
    "rejected": (Rejected("signature"), "invalid_token", "invalid_token", "pass"),
    "no keys": (KeysUnavailable(), "auth_server_unavailable", "auth_server_unavailable", "pass"),
    "foreign": (Absent.FOREIGN, "invalid_token", "invalid_token", "pass"),
    "two tokens": (Absent.AMBIGUOUS, "ambiguous_credentials", "ambiguous_credentials", "pass"),
}


@pytest.mark.parametrize("row", OTHERWISE)
@pytest.mark.parametrize("refresh", [True, False])
def test_what_does_not_verify_is_refused_before_any_refresh(row, refresh):
    """T1, T2, T17: not one of them leads to Refresh or Alongside."""
    presented, *expected = OTHERWISE[row]
    policies = [Policy(auth=auth) for auth in (Auth.REQUIRED, Auth.OPTIONAL, Auth.OFF)]
    assert [name(Arrived(policy, presented, refresh).next(NOW)) for policy in policies] == expected


# auth, refresh token, allow_refresh_alone, on_expired | decision
MISSING = """
required  no   no   refresh | missing_token
required  no   yes  refresh | missing_token
required  yes  no   refresh | missing_token
required  yes  yes  refresh | refresh
required  yes  yes  signal  | missing_token
required  yes  yes  reject  | missing_token
optional  no   no   refresh | pass
optional  no   yes  refresh | pass
optional  yes  no   refresh | missing_token
optional  yes  yes  refresh | refresh
off       no   no   refresh | pass
off       yes  yes  refresh | pass
"""


@pytest.mark.parametrize(("facts", "expected"), [(facts, cells[0]) for facts, cells in rows(MISSING)])
def test_a_missing_token(facts, expected):
    """R4, R17: a refresh token alone is not redeemed unless the operator says so."""
    auth, refresh, alone, on_expired = facts
    policy = Policy(auth=Auth(auth), allow_refresh_alone=alone == "yes", on_expired=OnExpired(on_expired))
    assert name(Arrived(policy, Absent.MISSING, refresh == "yes").next(NOW)) == expected


@pytest.mark.parametrize("age", AGES)
def test_an_off_route_never_judges(age):
    """R17"""
    assert decided(age, refresh=True, policy=Policy(auth=Auth.OFF)) == "pass"


@pytest.mark.parametrize(
    ("age", "expected"),
    list(zip(AGES, ["invalid_token"] * 4 + ["refresh", "expired_token"], strict=True)),
)
def test_a_retired_key_judges_expired_tokens_only(age, expected):
    """R22"""
    assert decided(age, refresh=True, key_retired=True) == expected


@pytest.mark.parametrize("age", AGES)
def test_another_audience_is_refused_at_any_age(age):
    """T2, T9"""
    assert decided(age, refresh=True, audience=frozenset({"other"})) == "invalid_token"


@pytest.mark.parametrize("on_expired", list(OnExpired))
def test_a_token_bound_to_its_client_is_refused_or_passed_and_never_refreshed(on_expired):
    """T15"""
    refused = Policy(on_expired=on_expired)
    passed = Policy(on_expired=on_expired, pass_sender_bound=True)
    by_age = {age: decided(age, refresh=True, policy=passed, sender_bound=True) for age in AGES}
    assert list(by_age.values()) == ["invalid_token", *["forward"] * 3, *["expired_token"] * 2]
    assert {decided(age, refresh=True, policy=refused, sender_bound=True) for age in AGES} == {"invalid_token"}


def test_the_signal_has_the_configured_status():
    policy = Policy(on_expired=OnExpired.SIGNAL, signal_status=499)
    found = Arrived(policy, access_token(), has_refresh_token=True).next(AT[Age.EXPIRED])
    assert found.problem.status == 499


NEW = living(since=NOW - 900)
OTHER_AUDIENCE = living(since=NOW - 900, audience=frozenset({"other"}))
BUSY = Failed(errors.AUTH_SERVER_UNAVAILABLE.retry(7))


def renewed(access=NEW, *, joined=False):
    return Renewed(TokenSet(access, Secret("rt2")), joined=joined)


OUTCOMES = {
    "renewed": renewed(),
    "renewed: another audience": renewed(OTHER_AUDIENCE),
    "renewed: by a retired key": renewed(living(since=NOW - 900, key_retired=True)),
    "renewed: expired again": renewed(living(since=NOW - 9999, spans=5)),
    "dead": Dead(),
    "dead: answer lost": Dead("answer_lost"),
    "mismatched": Mismatched(),
    "failed": BUSY,
}

# outcome | own token: hard, expired, none | after the API's 401: replayable, not replayable
AFTER_REFRESH = """
renewed                    | forward           forward                    forward                    forward           relay
renewed: another audience  | forward           auth_server_misconfigured  auth_server_misconfigured  relay             relay
renewed: by a retired key  | forward           auth_server_unavailable    auth_server_unavailable    relay             relay
renewed: expired again     | forward           auth_server_unavailable    auth_server_unavailable    relay             relay
dead                       | forward           refresh_rejected           refresh_rejected           relay             relay
dead: answer lost          | forward           refresh_rejected           refresh_rejected           relay             relay
mismatched                 | subject_mismatch  subject_mismatch           subject_mismatch           subject_mismatch  subject_mismatch
failed                     | forward           auth_server_unavailable    auth_server_unavailable    relay             relay
"""
WAITING = [
    (Refresh(Policy(audience=API), access_token(), Cause.AHEAD), AT[Age.HARD]),
    (Refresh(Policy(audience=API), access_token(), Cause.EXPIRED), AT[Age.EXPIRED]),
    (Refresh(Policy(audience=API), None, Cause.EXPIRED), NOW),
    (Refresh(Policy(audience=API), access_token(), Cause.REJECTED, replayable=True), AT[Age.FRESH]),
    (Refresh(Policy(audience=API), access_token(), Cause.REJECTED, replayable=False), AT[Age.FRESH]),
]


@pytest.mark.parametrize(
    ("outcome", "state", "now", "expected"),
    [
        (line.split("|")[0].strip(), *waiting, cell)
        for line in AFTER_REFRESH.strip().splitlines()
        for waiting, cell in zip(WAITING, line.split("|")[1].split(), strict=True)
    ],
)
def test_what_follows_a_refresh(outcome, state, now, expected):
    """T11, R1, R12, R13, R18, R23"""
    found = state.next(OUTCOMES[outcome], now)
    assert name(found) == expected
    if isinstance(found, Forward):
        assert not found.may_refresh
        assert found.token is (NEW if outcome == "renewed" else state.token)


def test_a_failure_keeps_its_own_retry_after():
    found = Refresh(Policy(), None, Cause.EXPIRED).next(BUSY, NOW)
    assert found.problem.retry_after == 7


def test_a_denial_after_a_lost_answer_says_so():
    """R10, B2b"""
    found = Refresh(Policy(), None, Cause.EXPIRED).next(Dead("answer_lost"), NOW)
    assert found.problem.reason == "answer_lost"
    assert "lost" in found.problem.detail


@pytest.mark.parametrize("outcome", [o for o in OUTCOMES if o != "mismatched"])
def test_an_answer_that_is_here_outlives_the_refresh_alongside(outcome):
    """R23"""
    assert Settle().next(OUTCOMES[outcome]) == Relay()


def test_two_users_tokens_are_refused_even_after_the_answer_came():
    """R1"""
    assert Settle().next(Mismatched()) == Refuse(errors.SUBJECT_MISMATCH)


SAID = UpstreamAnswer(401, invalid_token=True)
MUTE = UpstreamAnswer(401, invalid_token=False)
SETTLED = {Forward: Relay, Alongside: Settle}

# on_upstream_401 | the API's answer | refresh?
ON_401 = [
    ("invalid_token", SAID, True),
    ("invalid_token", MUTE, False),
    ("any", SAID, True),
    ("any", MUTE, True),
    ("never", SAID, False),
    ("never", MUTE, False),
    *(("any", UpstreamAnswer(status, invalid_token=True), False) for status in (200, 302, 403, 500, 503)),
]


@pytest.mark.parametrize(("when", "answer", "expected"), ON_401)
@pytest.mark.parametrize("kind", [Forward, Alongside])
def test_which_answer_of_the_api_causes_a_refresh(kind, when, answer, expected):
    """R18"""
    policy = Policy(on_upstream_401=OnUpstream401(when))
    found = kind(policy, access_token(), has_refresh_token=True).next(answer, AT[Age.FRESH], replayable=True)
    if expected:
        assert found == Refresh(policy, access_token(), Cause.REJECTED, replayable=True)
    else:
        assert isinstance(found, SETTLED[kind])


@pytest.mark.parametrize(
    "state",
    [
        Forward(Policy(), access_token(), has_refresh_token=False),
        Forward(Policy(), access_token(), has_refresh_token=True, may_refresh=False),
        Forward(Policy(on_expired=OnExpired.SIGNAL), access_token(), has_refresh_token=True),
        Forward(Policy(), access_token(sender_bound=True), has_refresh_token=True),
    ],
    ids=["no refresh token", "refreshed once already", "the client refreshes itself", "bound to its client"],
)
def test_a_refused_token_that_may_not_be_refreshed_has_its_401_relayed(state):
    """R18, T15"""
    assert state.next(SAID, AT[Age.FRESH], replayable=True) == Relay()


@pytest.mark.parametrize(("ago", "refreshed"), [(0, False), (29.9, False), (30, True), (31, True)])
def test_a_token_that_we_obtained_just_now_and_the_api_refuses_is_not_refreshed_again(ago, refreshed):
    """R21"""
    token = access_token(obtained=Obtained(NOW - ago, None))
    found = Forward(Policy(min_interval=30), token, has_refresh_token=True).next(SAID, NOW, replayable=True)
    assert isinstance(found, Refresh) is refreshed


def test_a_body_that_cannot_be_replayed_is_remembered_for_the_end_of_the_refresh():
    """R18"""
    found = Forward(Policy(), access_token(), has_refresh_token=True).next(SAID, AT[Age.FRESH], replayable=False)
    assert not found.replayable
