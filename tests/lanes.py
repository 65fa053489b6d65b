"""Which lane the requests of a test take through the gateways that it starts.

The first request of a gateway goes through the ASGI lane, because nothing is known yet: no token, no connection. A
gateway that is ``warm`` has both before its test begins, so that whatever can go through the express lane does.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gateway.app import Gateway
from gateway.core.errors import GatewayError
from gateway.core.secret import Secret

_current = "usual"


def current() -> str:
    """``usual``: as configured; ``warm``: see above; ``asgi``: the express lane is closed."""
    return _current


@contextmanager
def lane(name: str) -> Iterator[None]:
    """For the gateways that are started inside."""
    global _current  # noqa: PLW0603  # tests of one process run one after another
    before, _current = _current, name
    try:
        yield
    finally:
        _current = before


WARM = pytest.mark.parametrize("lane", ["warm"], indirect=True)
"""For tests beneath a ``conftest.py`` that has the fixture ``lane``."""
BOTH = pytest.mark.parametrize("lane", ["warm", "asgi"], indirect=True)


async def warm_up(gateway: Gateway, access: str) -> None:
    """Leave behind what an hour's work does: keys, and for each upstream a connection that is at rest.

    Args: access: any valid token.
    """
    await gateway.refresher._renewal._judge.judge(Secret(access))
    for upstream in gateway.upstreams.values():
        pool = upstream._pool
        for number in [*pool._lanes._lanes][:1]:
            with suppress(GatewayError):
                (await pool.acquire(number))._rest()


def introduce(gateway: Gateway, access: str) -> None:
    """Let a token be known. With the keys at hand nothing is waited for; else it stays unknown."""
    judging = gateway.refresher._renewal._judge.judge(Secret(access))
    with suppress(Exception):  # its end is one; so is what a test has broken on purpose
        judging.send(None)
    judging.close()
