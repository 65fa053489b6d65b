import copy
import pickle
import traceback

import pytest

from gateway.core.secret import Secret

CANARY = "canary-5b1f"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{0!r} {0!s}".format, lambda s: f"{[s]} { ({'k': s}) }"])
def test_no_way_to_show_it_shows_it(show):
    """X9"""
    assert CANARY not in show(Secret(CANARY))


def test_only_reveal_gives_the_text():
    assert Secret(CANARY).reveal() == CANARY
    assert not hasattr(Secret(CANARY), "__dict__")


@pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, hash])
def test_it_is_neither_pickled_nor_hashed(write):
    """X9: a hash in a log, or the order of a set, would tell something."""
    with pytest.raises(TypeError) as raised:
        write(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(raised.value))


def test_two_secrets_are_compared_by_their_text():
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_an_empty_secret_is_false():
    assert not Secret("")
    assert Secret("0")
