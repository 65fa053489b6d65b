import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.bounded import Bounded, Learnt


def test_the_entry_written_first_goes_first():
    """D6"""
    room = Bounded(2)
    room["a"], room["b"] = 1, 2
    room["a"] = 3
    room["c"] = 4
    assert dict(room) == {"a": 3, "c": 4}


def test_reading_keeps_nothing_alive():
    room = Bounded(2)
    room["a"], room["b"] = 1, 2
    assert room["a"] == room.get("a") == 1
    room["c"] = 3
    assert "a" not in room


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_it_holds_the_newest_written(limit, steps):
    """D6: against a list of what was written last."""
    room, written = Bounded(limit), []
    for key, keep in steps:
        written = [k for k in written if k != key]
        if keep:
            room[key] = key
            written = [*written, key][-limit:]
        else:
            room.pop(key, None)
        assert list(room) == written


def test_a_million_keys_leave_as_many_as_the_limit():
    """D6"""
    room = Bounded(1000)
    for key in range(1_000_000):
        room[key] = None
    assert len(room) == 1000


def test_other_ways_to_write_are_bounded_too():
    """D6"""
    room = Bounded(3)
    room.update((key, None) for key in range(10))
    for key in range(10, 20):
        room.setdefault(key)
    assert len(room) == 3
    with pytest.raises(KeyError):
        room[9]


def test_what_was_learnt_is_forgotten_when_there_is_too_much_of_it():
    """D6: all at once, and then it is learnt again."""
    known = Learnt(3)
    for key in "abc":
        known.learn(key, key.upper())
    assert dict(known) == {"a": "A", "b": "B", "c": "C"}
    known.learn("d", "D")
    assert dict(known) == {"d": "D"}
