import pytest

from gateway.core.credentials import Carried, Presenter
from gateway.core.lifecycle import Absent
from gateway.core.secret import Secret
from tests.core.making import access_token

CANARY = "canary-77aa"


@pytest.mark.parametrize(
    "value",
    [
        Carried(Secret(CANARY), Secret(CANARY)),
        Presenter(refresh=Secret(CANARY), access=access_token(CANARY), client="203.0.113.7"),
    ],
)
def test_what_a_request_carries_is_not_shown(value):
    """X9: a traceback or a debugger's line holds no token."""
    assert CANARY not in repr(value)


def test_what_is_missing_is_told_apart():
    """T17"""
    assert Carried(Absent.MISSING, None) != Carried(Absent.AMBIGUOUS, None)
