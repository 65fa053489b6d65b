"""What a store says shows no value: entries hold tokens (X9)."""

from gateway.core.records import Acquired, Busy, Entry, FamilyRecord, StoreUnavailable

CANARY = b"canary-token"


def test_no_repr_shows_a_value():
    assert "canary" not in repr(Entry(CANARY, 1))
    assert "canary" not in repr(FamilyRecord("name", 1, CANARY, 1))


def test_by_default_nothing_was_left_and_nobody_knows_how_long_it_takes():
    assert Acquired().intent is None
    assert Busy().wait is None
    assert str(StoreUnavailable("timeout")) == "timeout"
