"""B27: how many clients fit into what the system gives, and what it looks like when nothing is left."""

import errno
import resource
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.descriptors import RESERVE, client_connections, exhausted, raise_limit
from tests.scarcity import no_descriptors

POOLS = st.lists(st.integers(0, 10_000), max_size=6)


@pytest.mark.parametrize(
    ("descriptors", "pools", "clients"),
    [
        (1_048_576, [256, 4096, 16], 1_048_576 - 128 - 256 - 4096 - 16),
        (1024, [256, 16], 1024 - 128 - 256 - 16),
        (1024, [256, 4096, 16], (1024 - 128 - 256 - 16) // 2),
        (1024, [], 1024 - 128),
        (256, [256, 4096, 16], (256 - 64 - 16) // 3),
        (20, [256, 256, 256], 3),
        (4, [256], 1),
        (0, [], 1),
    ],
)
def test_clients_get_what_pools_and_reserve_leave(descriptors, pools, clients):
    """B27"""
    assert client_connections(descriptors, pools) == clients


def needed(clients: int, pools: list[int]) -> int:
    return clients + sum(min(pool, clients) for pool in pools)


@given(st.integers(0, 2_000_000), POOLS)
def test_so_many_clients_fit_and_not_one_more(descriptors, pools):
    """B27: against the definition."""
    clients = client_connections(descriptors, pools)
    room = descriptors - min(RESERVE, descriptors // 4)
    assert clients == 1 or needed(clients, pools) <= room
    assert needed(clients + 1, pools) > room


def test_the_process_asks_for_all_that_it_may_have():
    """B27: 1024 is what most systems give to a process that does not ask."""
    code = (
        "import resource as r; from gateway.descriptors import raise_limit;"
        "r.setrlimit(r.RLIMIT_NOFILE, (200, 300)); print(raise_limit(), r.getrlimit(r.RLIMIT_NOFILE), raise_limit())"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split(None, 1) == ["300", "(300, 300) 300\n"]


def test_a_limit_that_cannot_be_raised_is_taken_as_it_is(monkeypatch):
    """B27: macOS says that there is none, and refuses."""
    infinite = resource.RLIM_INFINITY

    def refuse(*_):
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, infinite))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 256
    monkeypatch.setattr(resource, "getrlimit", lambda _: (infinite, infinite))
    assert raise_limit() == 1 << 20


def test_an_error_inside_another_is_found():
    """B27: libraries wrap what the system says."""
    wrapped, wrapper = RuntimeError(), ValueError()
    wrapped.__cause__ = OSError(errno.EMFILE, "text")
    wrapper.__context__ = wrapped
    assert exhausted(wrapper)
    assert not exhausted(RuntimeError())


def test_whatever_fails_while_there_is_no_descriptor_fails_for_want_of_one():
    """B27"""
    with no_descriptors():
        assert exhausted(RuntimeError())
    with no_descriptors(1):
        assert not exhausted(RuntimeError())
