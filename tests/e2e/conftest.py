"""Every test here runs on uvloop, as the gateway itself does: the loops differ most in how connections end."""

import uvloop


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}
