"""How hard Hypothesis searches: with the same examples on every run, and with many new ones in ``make soak``."""

import os

from hypothesis import settings

settings.register_profile("quick", deadline=None, derandomize=True, database=None)
settings.register_profile("soak", deadline=None, max_examples=5000)
settings.load_profile("soak" if os.environ.get("GATEWAY_TEST_PROFILE") == "soak" else "quick")
