"""How much patience is left with a peer."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.pace import Pace


def begun(patience: float = 10, rate: float = 100) -> Pace:
    pace = Pace(patience, rate)
    pace.spent(1000)
    return pace


def test_waiting_spends_it():
    """D2: nothing at all may come for so long."""
    pace = begun()
    assert pace.spent(1004) == 6
    assert pace.spent(1010) == 0


def test_bytes_buy_time_and_never_more_than_there_was():
    """D2: what came before the pause is no credit for it."""
    pace = begun()
    pace.moved(10_000)
    assert pace.spent(1000) == 10
    assert pace.spent(1005) == 5
    pace.moved(200)
    assert pace.spent(1005) == 7


def test_a_drip_is_cut_soon_after_the_patience():
    """D2: one byte a second, where a hundred are wanted."""
    pace, now = begun(), 1000
    while pace.spent(now) > 0:
        now += 1
        pace.moved(1)
    assert 1010 <= now <= 1011


def test_without_a_rate_any_byte_will_do():
    """D2: as nginx's client_body_timeout."""
    pace = begun(rate=0)
    assert pace.spent(1009) == 1
    pace.moved(1)
    assert pace.spent(1009) == 10
    pace.moved(0)
    assert pace.spent(1018) == 1


def test_our_own_turn_costs_nothing():
    """D2: a slow upstream is not the client's fault."""
    pace = begun()
    pace.stop(1003)
    pace.stop(1500)
    assert pace.spent(9000) == 7
    assert pace.spent(9001) == 6


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1000)), max_size=50), st.floats(0.1, 1000))
def test_a_peer_at_the_rate_is_never_cut(steps, rate):
    """D2: whatever the sizes of its pieces, as long as no pause is longer than the patience."""
    pace, now = Pace(5, rate), 0.0
    pace.spent(now)
    for pause, _ in steps:
        now += pause
        pace.moved(round(rate * pause + 0.5))
        assert pace.spent(now) > 0
