import pytest

from tests.redis_servers import redis_server


@pytest.fixture(scope="session")
def _server():
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(_server):
    """A real server, empty."""
    _server.ask("FLUSHALL")
    _server.ask("CONFIG", "RESETSTAT")
    return _server
