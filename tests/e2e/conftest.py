"""Every test here runs on uvloop, as the gateway itself does: the loops differ most in how connections end."""

import pytest
import uvloop

from tests import lanes


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def lane(request):
    """Which lane the gateways of this test are made for: ``lanes.WARM`` or ``lanes.BOTH`` say it."""
    name = getattr(request, "param", "usual")
    with lanes.lane(name):
        yield name
