"""Families against a naive model that remembers every claim for ever (CONTRACT §4.3)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.families import Family, Stored, dump_family, load_family
from gateway.core.secret import Secret
from gateway.core.tokens import Obtained

GRACE = 30.0


def stored(number=0):
    return Stored(Secret(f"at{number}"), Secret(f"rt{number}"), Obtained(1000.0, 3600.0))


class FamilyLife(RuleBasedStateMachine):
    """Growth, claims of any number in any order, and time."""

    @initialize(rotated=st.booleans())
    def found(self, rotated):
        self.now = 1000.0
        self.family = Family(stored(), int(rotated))
        self.first_claims = {}

    @rule(rotated=st.booleans())
    def grow(self, rotated):
        before = self.family
        key = f"k{before.number}"
        self.family = before.grown(stored(before.number + rotated), key, rotated=rotated, now=self.now, grace=GRACE)
        assert self.family.before == (key if rotated else before.before)
        assert self.family.number == before.number + rotated
        assert self.family.newest == stored(before.number + rotated)
        older = [at for _, at in self.family.claims if at + GRACE <= self.now]
        assert len(older) <= 1, "a record that grows without end"

    @rule(back=st.integers(0, 4))
    def claim(self, back):
        """As the store notes it."""
        number = max(self.family.number - back, 0)
        self.first_claims.setdefault(number, self.now)
        self.family = claimed(self.family, number, self.now)

    @rule(seconds=st.sampled_from([0.0, 1.0, 29.0, 30.0, 31.0]))
    def pass_time(self, seconds):
        self.now += seconds

    @invariant()
    def an_old_pair_is_served_for_grace_after_a_later_one_was_first_presented(self):
        for number in range(self.family.number + 1):
            later = [at for n, at in self.first_claims.items() if n > number]
            expected = not later or self.now < min(later) + GRACE
            assert self.family.serves(number, self.now, GRACE) == expected

    @invariant()
    def the_newest_is_always_served(self):
        assert self.family.serves(self.family.number, self.now, GRACE)

    @invariant()
    def nothing_waits_once_the_newest_was_presented(self):
        presented = self.family.number == 0 or self.family.number in self.first_claims
        assert self.family.fully_claimed == presented

    @invariant()
    def claims_are_in_their_order(self):
        claims = self.family.claims
        assert list(claims) == sorted(claims)

    @invariant()
    def the_store_gives_back_what_it_was_given(self):
        assert load_family(dump_family(self.family), self.family.claims) == self.family


FamilyLife.TestCase.settings = settings(stateful_step_count=25)
TestAFamilyAgainstANaiveModel = FamilyLife.TestCase


def claimed(family, number, now):
    """What a store notes, which every store's own tests prove."""
    if number <= 0 or any(number <= noted for noted, _ in family.claims):
        return family
    return replace(family, claims=(*family.claims, (number, now)))


def test_the_grace_counts_from_the_first_claim():
    """R11: presenting the new pair again does not prolong the old one's life."""
    family = claimed(Family(stored(1), 1), 1, 1000.0)
    assert family.serves(0, 1029.9, GRACE)
    assert not family.serves(0, 1030.0, GRACE)


def test_a_claim_of_a_later_token_claims_the_earlier_ones():
    """R11: "that of a later one in the chain"."""
    family = claimed(Family(stored(3), 3), 3, 1000.0)
    assert [family.serves(n, 1030.0, GRACE) for n in range(4)] == [False, False, False, True]


@given(st.text(min_size=1), st.text(min_size=1), st.none() | st.floats(0, 1e9))
def test_any_tokens_survive_the_store(access, refresh, lifetime):
    family = Family(Stored(Secret(access), Secret(refresh), Obtained(1.5, lifetime)), 1, before="k0")
    assert load_family(dump_family(family), ()) == family


def test_no_claim_is_in_the_value():
    """The store notes claims beside it, blindly and in one command."""
    family = Family(stored(1), 1)
    assert dump_family(claimed(family, 1, 1000.0)) == dump_family(family)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b"{}", b'"text"', b"7", b"null", b'{"access": "a", "refresh": "r"}']
)
def test_what_another_version_wrote_is_no_family(data):
    """A rolling deployment is no internal error."""
    with pytest.raises(ValueError):
        load_family(data, ())
