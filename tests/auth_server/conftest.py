import asyncio

import pytest
import uvloop

from .support import outbound, token_transport

ON_BOTH = {"test_sender", "test_exhausted"}
"""Files whose tests are about sockets: what event loops do with a broken one differs."""


def pytest_asyncio_loop_factories(config, item):
    both = item.path.stem in ON_BOTH
    return {"asyncio": asyncio.new_event_loop} | ({"uvloop": uvloop.new_event_loop} if both else {})


@pytest.fixture(params=[outbound, token_transport])
def trusting(request):
    """Makes a sender that trusts the authorities of a file; None: those of the system."""
    return request.param


@pytest.fixture
def sender(trusting):
    """Documents and tokens go different ways, and both keep what is promised of a ``Sender``."""
    return trusting()
