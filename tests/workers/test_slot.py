"""When a worker that died is started again, and who has its clients meanwhile."""

import socket

import pytest

from gateway.sockets import bound, several
from gateway.workers.slot import LONGEST, SHORTEST, Slot


@pytest.fixture
def slot():
    with bound("127.0.0.1", 0, together=True) as sock:
        address = sock.getsockname()
        made = Slot(1, sock, lambda: bound(*address, together=True))
        yield made
        made.deaf()


def pauses(slot, deaths) -> list[float]:
    found = []
    for _ in range(deaths):
        slot.pause(100.0, early=True)
        found.append(slot.due - 100.0)
    return found


def test_the_first_death_is_followed_by_a_start_and_then_by_longer_and_longer_pauses(slot):
    assert pauses(slot, 4) == [0, SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
    assert pauses(slot, 20)[-1] == LONGEST


def test_one_that_has_lived_for_long_is_forgiven(slot):
    pauses(slot, 5)
    slot.pause(200.0, early=False)
    assert slot.due == 200.0
    assert pauses(slot, 2) == [0, SHORTEST]


def test_clients_wait_at_the_socket_for_a_start_that_comes_at_once_only(slot):
    sock = slot._sock
    pauses(slot, 1)
    assert slot._listening() is sock
    pauses(slot, 1)
    assert sock.fileno() == -1
    assert slot._listening().getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_a_socket_that_listens_no_more_is_replaced(slot):
    sock = slot._sock
    sock.shutdown(socket.SHUT_RDWR)
    assert slot._listening() is not sock
    assert sock.fileno() == -1


def test_an_address_that_others_listen_on_is_not_joined():
    """O1: a second gateway on the same port would take half of the first one's clients without a word."""
    first = several("127.0.0.1", 0, 2)
    port = first[0].getsockname()[1]
    assert first[1].getsockname()[1] == port
    with pytest.raises(OSError, match="in use"):
        several("127.0.0.1", port, 2)
    for sock in first:
        sock.close()
    for sock in several("127.0.0.1", port, 2):
        sock.close()


def test_an_address_that_cannot_be_had_leaves_no_socket_behind(monkeypatch):
    made = []

    def scarce(*args, **kwargs):
        if len(made) == 2:
            raise OSError("no more")
        made.append(bound(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr("gateway.sockets.bound", scarce)
    with pytest.raises(OSError, match="no more"):
        several("127.0.0.1", 0, 3)
    assert [sock.fileno() for sock in made] == [-1, -1]
