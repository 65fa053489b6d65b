"""Every test here runs on uvloop, as the gateway itself does: the loops differ most in how connections end."""

import os

import pytest
import uvloop

from tests import house


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def lane(request):
    """The lane of the gateways in this test; see ``support.IN_BOTH_LANES``."""
    name = getattr(request, "param", os.environ.get("H2_LANE", "default"))
    with house.lane(name):
        yield name
