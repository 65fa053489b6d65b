"""Shares of places: what each lane finds, whatever the others take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.places import Places


def fill(places, share):
    """Take what is open to a lane, and count it."""
    taken = 0
    while places.open_to(share):
        places.take(share)
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("total", "limits", "taken"),
    [
        (4096, [None], [4096]),
        (4096, [None, None], [3072, 1024]),
        (256, [None] * 3, [192, 32, 32]),
        (256, [10, None, None], [10, 192, 54]),
        (2, [None] * 3, [1, 1, 0]),
        (1, [None] * 2, [1, 0]),
        (0, [None], [0]),
    ],
)
def test_no_lane_takes_all_and_each_finds_what_it_is_sure_of(total, limits, taken):
    """D5: the first comer takes what it can, then the next."""
    places = Places(total, len(limits))
    shares = [places.share(limit) for limit in limits]
    assert [fill(places, share) for share in shares] == taken
    assert places.free == total - sum(taken)


def test_whoever_enters_takes_what_is_open_to_it_and_no_more():
    """D5."""
    places = Places(8, 2)
    first, second = places.share(None), places.share(None)
    assert [places.enter(first) for _ in range(8)] == [True] * 6 + [False] * 2
    assert [places.enter(second) for _ in range(3)] == [True, True, False]
    assert places.free == 0


def test_a_place_given_back_is_owed_again():
    places = Places(8, 2)
    first, second = places.share(None), places.share(None)
    assert (fill(places, second), fill(places, first)) == (6, 2)
    places.give(second)
    places.give(first)
    assert (fill(places, second), fill(places, first)) == (1, 1)


@given(
    total=st.integers(1, 40),
    lanes=st.integers(1, 8),
    steps=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=200),
)
def test_whatever_happens_each_finds_what_it_is_sure_of(total, lanes, steps):
    """D5. To enter is to look and to take."""
    places, twins = Places(total, lanes), Places(total, lanes)
    shares = [places.share(None) for _ in range(lanes)]
    others = [twins.share(None) for _ in range(lanes)]
    for number, takes in steps:
        share, other = shares[number % lanes], others[number % lanes]
        if takes and places.open_to(share):
            places.take(share)
            assert twins.enter(other)
        elif takes:
            assert not twins.enter(other)
        elif share.held:
            places.give(share)
            twins.give(other)
        assert places.free == twins.free == total - sum(s.held for s in shares) >= 0
        assert all(places.open_to(s) for s in shares if s.held < s.sure)
        assert [places.open_to(s) for s in shares] == [twins.open_to(s) for s in others]
