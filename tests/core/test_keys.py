import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.keys import Index

index = Index(b"secret")

PARTS = st.lists(st.text(max_size=8), max_size=5)


@given(PARTS, PARTS)
def test_two_lists_of_parts_share_a_name_only_if_they_are_one_list(first, second):
    """R6: Hypothesis finds no collision."""
    assert (index(*first) == index(*second)) == (first == second)


@given(st.text(), st.integers(0, 20), st.integers(0, 20))
def test_where_parts_are_cut_makes_a_difference(text, first, second):
    """R6: each part has its length before it, so that ("ab", "c") is not ("a", "bc")."""
    cuts = [index(text[:cut], text[cut:]) for cut in (first, second)]
    assert (cuts[0] == cuts[1]) == (text[:first] == text[:second])


@given(PARTS)
def test_an_empty_part_counts(parts):
    """R6: a client without a scope is not one of another number of parts."""
    assert len({index(*parts), index(*parts, ""), index("", *parts, "")}) == 3


def test_the_name_is_an_hmac_over_length_prefixed_parts():
    """R6: known to whoever has the key, and to nobody else."""
    prefixed = b"\0\0\0\0\0\0\0\3\xe2\x82\xac" + b"\0\0\0\0\0\0\0\1b"
    assert index("€", "b") == hmac.new(b"secret", prefixed, hashlib.sha256).hexdigest()
    assert index("€", "b") != Index(b"other")("€", "b")


def test_a_name_tells_nothing_of_its_parts():
    """X10"""
    assert "canary" not in index("canary")
