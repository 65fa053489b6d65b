"""X10: what a store may see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.sealing import KeyRing, UnknownKeyError

OLD, NEW = b"o" * 32, b"n" * 32
RING = KeyRing([NEW, OLD])


@given(name=st.text(max_size=20), value=st.binary(max_size=200))
def test_what_was_sealed_opens_under_its_name_and_shows_nothing(name, value):
    sealed = RING.seal(name, value)
    assert RING.open(name, sealed) == value
    assert len(value) < 4 or value not in sealed


@given(value=st.binary(max_size=40), place=st.integers(0, 100), bit=st.integers(0, 7))
def test_what_was_changed_anywhere_does_not_open(value, place, bit):
    sealed = bytearray(RING.seal("name", value))
    sealed[place % len(sealed)] ^= 1 << bit
    assert unopened(bytes(sealed))


def unopened(sealed):
    """Taken for corrupt, or for another key's."""
    try:
        return RING.open("name", sealed) is None
    except UnknownKeyError:
        return sealed[1:5] not in {RING.seal("name", b"")[1:5], KeyRing([OLD]).seal("name", b"")[1:5]}


@given(sealed=st.binary(max_size=60))
def test_what_nobody_sealed_does_not_open(sealed):
    """B21"""
    assert unopened(sealed)
    assert unopened(b"\x02" + sealed)
    assert RING.open("name", b"\x01" + sealed) is None
    assert RING.open("name", RING.seal("name", b"")[:5] + sealed) is None


def test_a_value_opens_in_no_other_record():
    assert RING.open("evergreen:{b}:family", RING.seal("evergreen:{a}:family", b"ada's")) is None


def test_the_newest_key_seals_and_all_open():
    """B21: keys are rotated without forgetting anything."""
    assert RING.open("name", KeyRing([OLD]).seal("name", b"v")) == b"v"
    with pytest.raises(UnknownKeyError):
        KeyRing([OLD]).open("name", RING.seal("name", b"v"))
    assert KeyRing([NEW]).open("name", RING.seal("name", b"v")) == b"v"


def test_the_same_value_is_never_sealed_twice_alike():
    assert len({RING.seal("name", b"v") for _ in range(1000)}) == 1000


def test_each_record_is_sealed_with_a_key_of_its_own(monkeypatch):
    """NIST SP 800-38D §8.3: a nonce that comes twice tells something only where the key is the same."""
    monkeypatch.setattr("gateway.store.sealing.secrets.token_bytes", bytes)
    bodies = {RING.seal(name, b"value")[17:-16] for name in ("a", "b", "c")}
    assert len(bodies) == 3


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, NEW + b"x"]])
def test_a_ring_without_proper_keys_is_none(keys):
    with pytest.raises(ValueError, match="32 bytes"):
        KeyRing(keys)


def test_no_repr_tells_a_key():
    assert "n" * 8 not in repr(RING)
