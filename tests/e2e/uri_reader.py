"""A real nginx as the upstream that tells which path it reads out of a target: decoded, merged, resolved."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.e2e.nginx import on_a_port


def uri_reader(home: Path) -> AbstractAsyncContextManager[int]:
    """The port of an nginx that answers ``$uri``. ``home`` is an empty folder."""
    return on_a_port(home, 'return 200 "$uri";')
