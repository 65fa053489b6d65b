import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tokens import Age, Obtained, Windows, patience, schedule
from tests.core.making import NOW, access_token, verified

WINDOWS = Windows(ahead=60, hard=5, leeway=2, max_expired_age=100)
HOUR = 3600.0

UNSHORTENED = ""
"""The token for which jitter takes nothing from ``ahead``: CRC-32 of the empty text is 0."""


def life(token="token", *, windows=WINDOWS, obtained=None, **facts):
    return schedule(token, verified(**{"issued": NOW, "ends": NOW + HOUR} | facts), windows, obtained)


def windows(**changes):
    spans = {"ahead": 60, "hard": 5, "leeway": 2, "max_expired_age": 100}
    return Windows(**spans | changes)


def test_the_ages_of_a_token_in_their_order():
    """T11: the leeway is on the far side of exp and on the near side of nbf."""
    found = life(UNSHORTENED, not_before=NOW)
    moments = {
        NOW - 2.01: Age.EARLY,
        NOW - 2: Age.FRESH,
        NOW + HOUR - 60.01: Age.FRESH,
        NOW + HOUR - 60: Age.AHEAD,
        NOW + HOUR - 5: Age.HARD,
        NOW + HOUR + 1.99: Age.HARD,
        NOW + HOUR + 2: Age.EXPIRED,
        NOW + HOUR + 99.99: Age.EXPIRED,
        NOW + HOUR + 100: Age.FORGOTTEN,
    }
    assert {moment: found.age(moment) for moment in moments} == moments


@pytest.mark.parametrize("leeway", [0, 5, 60])
def test_one_second_around_the_leeway(leeway):
    """T11"""
    found = life(windows=windows(leeway=leeway), not_before=NOW)
    assert found.age(NOW + HOUR + leeway - 1).valid
    assert not found.age(NOW + HOUR + leeway + 1).valid
    assert found.age(NOW - leeway - 1) is Age.EARLY
    assert found.age(NOW - leeway + 1).valid


def test_a_token_that_is_not_valid_yet_is_never_anything_else_first():
    """T2: expired and not yet valid at once is a broken token, not an expired one."""
    found = life(ends=NOW, not_before=NOW + 500)
    assert found.age(NOW + 10) is Age.EARLY


@pytest.mark.parametrize(
    ("lifetime", "ahead", "hard"), [(HOUR, 60, 5), (100, 50, 5), (16, 8, 4), (4, 2, 1)], ids=lambda v: f"{v:g}"
)
def test_windows_are_capped_by_the_lifetime(lifetime, ahead, hard):
    """CONTRACT §3: ahead at half, hard at a quarter."""
    found = life(UNSHORTENED, ends=NOW + lifetime)
    assert found.ahead_at == NOW + lifetime - ahead
    assert found.hard_at == NOW + lifetime - hard


def test_without_iat_the_lifetime_is_that_of_the_grant():
    obtained = Obtained(NOW - 50, 40)
    assert life(UNSHORTENED, ends=NOW + HOUR, issued=None, obtained=obtained).ahead_at == NOW + HOUR - 20
    assert life(UNSHORTENED, ends=NOW + HOUR, issued=None, obtained=Obtained(NOW, None)).ahead_at == NOW + HOUR - 60
    assert life(UNSHORTENED, ends=NOW + HOUR, issued=None).ahead_at == NOW + HOUR - 60


def test_a_lifetime_that_is_none_has_no_windows():
    """A token issued at or after its end."""
    for issued in (NOW, NOW + 9):
        found = life(ends=NOW, issued=issued)
        assert found.ahead_at == found.hard_at == found.ends_at == NOW + 2


def test_zero_turns_a_window_off():
    no_ahead = life(windows=windows(ahead=0))
    assert no_ahead.ahead_at == no_ahead.hard_at == NOW + HOUR - 5
    no_hard = life(UNSHORTENED, windows=windows(hard=0))
    assert no_hard.ahead_at == NOW + HOUR - 60
    assert no_hard.hard_at == no_hard.ends_at
    neither = life(windows=windows(ahead=0, hard=0))
    assert neither.ahead_at == neither.hard_at == neither.ends_at == NOW + HOUR + 2


def test_ahead_never_starts_after_hard():
    found = life(windows=windows(ahead=3, hard=5))
    assert found.ahead_at == found.hard_at == NOW + HOUR - 5


@given(st.text(max_size=50), st.floats(1, 1e6), st.floats(0, 600))
def test_jitter_shortens_ahead_by_at_most_a_fifth_and_always_alike(token, lifetime, ahead):
    settings = windows(ahead=ahead, hard=0)
    once, again = (life(token, ends=NOW + lifetime, windows=settings) for _ in range(2))
    assert once == again
    if ahead:
        full = min(ahead, lifetime / 2)
        assert 0.8 * full - 1e-5 <= NOW + lifetime - once.ahead_at <= full + 1e-5


def test_jitter_spreads_tokens_of_one_minute():
    starts = {round(life(f"token {n}").ahead_at) for n in range(200)}
    assert len(starts) > 10


def test_a_token_granted_inside_its_window_has_none():
    """R20: the server would grant the same again, so it is used to its end."""
    for granted_at in (NOW + HOUR - 60, NOW + HOUR - 1):
        found = life(UNSHORTENED, obtained=Obtained(granted_at, None))
        assert found.ahead_at == found.hard_at == found.ends_at
        assert found.age(NOW + HOUR + 1) is Age.FRESH
        assert found.age(NOW + HOUR + 2) is Age.EXPIRED
    assert life(UNSHORTENED, obtained=Obtained(NOW + HOUR - 61, None)).ahead_at == NOW + HOUR - 60


@given(
    ends=st.floats(NOW - 1e4, NOW + 1e4),
    issued=st.none() | st.floats(NOW - 1e4, NOW + 1e4),
    not_before=st.none() | st.floats(NOW - 1e4, NOW + 1e4),
    spans=st.tuples(*[st.floats(0, 500)] * 3),
    moments=st.lists(st.floats(NOW - 2e4, NOW + 2e4), min_size=2, max_size=2).map(sorted),
)
def test_ages_only_ever_grow(ends, issued, not_before, spans, moments):
    ahead, hard, leeway = spans
    settings = Windows(ahead=ahead, hard=hard, leeway=leeway, max_expired_age=leeway)
    found = life(ends=ends, issued=issued, not_before=not_before, windows=settings)
    ages = list(Age)
    first, second = (ages.index(found.age(moment)) for moment in moments)
    assert first <= second


def test_the_audience_names_one_of_the_wanted():
    """T9"""
    token = access_token(audience=frozenset({"a", "b"}))
    assert token.meets(frozenset({"b", "c"}))
    assert not token.meets(frozenset({"c"}))
    assert token.meets(frozenset())
    assert not access_token(audience=frozenset()).meets(frozenset({"c"}))


def test_a_binding_is_issuer_and_subject():
    """R1, R11"""
    assert access_token(subject="ada", issuer="i").binding == ("i", "ada")


@pytest.mark.parametrize(
    ("left", "expected"),
    [(100, 10), (10.5, 10), (4.5, 4), (0.5, 10), (0.2, 10), (-50, 10)],
)
def test_patience_ends_while_the_own_token_still_lives(left, expected):
    """CONTRACT §4.5: then the request goes on with it; one that has none left waits the whole time."""
    assert patience(access_token(ends=NOW + left), NOW, 10) == expected


def test_patience_without_a_token_is_the_whole_time():
    assert patience(None, NOW, 10) == 10


def test_a_token_without_nbf_is_never_early():
    assert life().starts_at == -math.inf
