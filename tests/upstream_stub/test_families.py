"""The rules of rotation and reuse, apart from HTTP and from the clock."""

import pytest

from upstream_stub.families import Families, InvalidGrant, token_id

NOW, LIFETIME = 1000.0, 100.0


@pytest.fixture
def families():
    return Families()


@pytest.fixture
def first(families):
    return families.open("alice", "gateway", "api", NOW, LIFETIME)[1]


def redeem(families, token, now=NOW, grace=0.0, client="gateway"):
    return families.rotate(families.check(token, client, now, grace), now, LIFETIME)


def test_a_rotated_token_revokes_the_whole_family(families, first):
    """RFC 9700 §4.14.2."""
    second = redeem(families, first)
    third = redeem(families, second)
    with pytest.raises(InvalidGrant, match="used before"):
        redeem(families, first)
    assert families.find(third).family.revoked
    assert families.find(third).family.reused
    with pytest.raises(InvalidGrant, match="revoked"):
        redeem(families, third)


def test_another_family_is_untouched_by_a_reuse(families, first):
    other = families.open("alice", "gateway", "api", NOW, LIFETIME)[1]
    redeem(families, first)
    with pytest.raises(InvalidGrant):
        redeem(families, first)
    assert redeem(families, other)
    assert (families.alive(), families.reused()) == (1, 1)


def test_within_its_grace_the_previous_token_gets_another_successor(families, first):
    second = redeem(families, first)
    sibling = redeem(families, first, NOW + 10, grace=10)
    assert sibling != second
    assert redeem(families, second, NOW + 10, grace=10)
    assert redeem(families, sibling, NOW + 10, grace=10)
    assert not families.find(first).family.revoked


def test_the_grace_is_counted_from_the_first_rotation(families, first):
    redeem(families, first)
    redeem(families, first, NOW + 9, grace=10)
    with pytest.raises(InvalidGrant, match="used before"):
        redeem(families, first, NOW + 11, grace=10)


def test_only_the_token_immediately_before_has_a_grace(families, first):
    redeem(families, redeem(families, first))
    with pytest.raises(InvalidGrant, match="used before"):
        redeem(families, first, grace=10)


def test_an_expired_token_is_refused_and_nothing_else_happens(families, first):
    with pytest.raises(InvalidGrant, match="expired"):
        redeem(families, first, NOW + LIFETIME)
    assert not families.find(first).family.revoked
    assert redeem(families, first, NOW + LIFETIME - 1)


def test_a_token_of_another_client_is_refused_and_nothing_else_happens(families, first):
    """RFC 6749 §5.2."""
    with pytest.raises(InvalidGrant, match="another client"):
        redeem(families, first, client="other")
    assert redeem(families, first)


def test_an_unknown_token_is_refused(families):
    with pytest.raises(InvalidGrant, match="unknown"):
        redeem(families, "never issued")


def test_tokens_have_256_random_bits_and_are_not_kept(families, first):
    assert len(first) == 43
    assert first not in repr(vars(families))
    assert token_id(first) in vars(families)["_tokens"]
