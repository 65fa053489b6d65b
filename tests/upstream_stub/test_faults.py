"""What may be asked for, and in what order it comes."""

import pytest

from upstream_stub.faults import KINDS, TWISTS, FaultBoard, make


@pytest.mark.parametrize("kind", [*KINDS, *TWISTS])
def test_every_kind_can_be_made_as_it_is(kind):
    assert make(kind, 1, "token", {}).kind == kind


@pytest.mark.parametrize(
    ("kind", "endpoint", "options"),
    [
        ("flood", "token", {}),
        ("down", "nowhere", {}),
        ("down", "token", {"colour": 1}),
        ("answer", "token", {"x": 1}),
    ],
)
def test_what_there_is_not_is_an_error(kind, endpoint, options):
    with pytest.raises(ValueError, match=r"no |takes"):
        make(kind, 1, endpoint, options)


def test_faults_come_in_order_and_count_down():
    board = FaultBoard()
    for kind, times in (("down", 2), ("empty", 1), ("html", None)):
        board.add(make(kind, times, "token", {}))
    assert [board.take("token").kind for _ in range(6)] == ["down", "down", "empty", "html", "html", "html"]
    assert board.take("jwks") is None
    board.clear("jwks")
    assert board.coming() == ["token: html"]
    board.clear()
    assert board.take("token") is None
