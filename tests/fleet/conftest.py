"""Every test here runs on uvloop: hundreds of connections at once are less work there.

Starting three gateways takes longer than most tests do with them: the tests of a module share theirs.
"""

import uvloop


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}
