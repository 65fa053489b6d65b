"""How the interpreter keeps house while the gateway serves."""

import gc

_THRESHOLDS = (5_000, 10, 20)
"""Containers made and not freed before the youngest are looked at; so many such looks lead to a deeper one.

Requests and connections leave no cycles (tests/e2e/test_garbage.py): the collector is there for what libraries may
leave. What it costs it costs where new tokens come, which stay (docs/adr/0010).
"""


def settle() -> None:
    """Call once everything is up: what lives now lives for good, and the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
