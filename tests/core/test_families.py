"""Families against a naive model that remembers every claim for ever (CONTRACT §4.3)."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.families import (
    Family,
    Member,
    Stored,
    dump_family,
    dump_member,
    load_family,
    load_member,
)
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
        self.family = before.grown(stored(before.number + rotated), rotated=rotated)
        assert self.family.number == before.number + rotated
        assert self.family.newest == stored(before.number + rotated)

    @rule(back=st.integers(0, 4))
    def claim(self, back):
        number = max(self.family.number - back, 0)
        told_before = number == 0 or any(n >= number for n in self.first_claims)
        self.first_claims.setdefault(number, self.now)
        claimed = self.family.claimed(number, self.now, GRACE)
        assert (claimed is self.family) == told_before
        self.family = claimed

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
    def the_record_stays_small(self):
        """At most one claim is kept that had lost its grace when the latest was told."""
        claims = self.family.claims
        assert list(claims) == sorted(claims)
        older = [at for _, at in claims[:-1] if at + GRACE <= claims[-1][1]]
        assert len(older) <= 1

    @invariant()
    def the_store_gives_back_what_it_was_given(self):
        assert load_family(dump_family(self.family)) == self.family


FamilyLife.TestCase.settings = settings(stateful_step_count=25)
TestAFamilyAgainstANaiveModel = FamilyLife.TestCase


def test_the_grace_counts_from_the_first_claim():
    """R11: presenting the new pair again does not prolong the old one's life."""
    family = Family(stored(1), 1).claimed(1, 1000.0, GRACE)
    assert family.claimed(1, 1029.0, GRACE) is family
    assert family.serves(0, 1029.9, GRACE)
    assert not family.serves(0, 1030.0, GRACE)


def test_a_claim_of_a_later_token_claims_the_earlier_ones():
    """R11: "that of a later one in the chain"."""
    family = Family(stored(3), 3).claimed(3, 1000.0, GRACE)
    assert family.claimed(2, 1001.0, GRACE) is family
    assert [family.serves(n, 1030.0, GRACE) for n in range(4)] == [False, False, False, True]


@given(st.text(min_size=1), st.text(min_size=1), st.none() | st.floats(0, 1e9))
def test_any_tokens_survive_the_store(access, refresh, lifetime):
    family = Family(Stored(Secret(access), Secret(refresh), Obtained(1.5, lifetime)), 1)
    assert load_family(dump_family(family)) == family


def test_a_member_survives_the_store():
    assert load_member(dump_member(Member("key", 3))) == Member("key", 3)
