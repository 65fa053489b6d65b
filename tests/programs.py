"""Programs of the system that some tests need: nginx, Redis, a browser."""

import os
import shutil
from collections.abc import Mapping

import pytest

_BESIDE_PATH = "/usr/sbin:/usr/local/sbin:/sbin"
"""Debian keeps servers there, outside of a user's ``PATH``."""


def program(*names: str, environ: Mapping[str, str] = os.environ) -> str:
    """The path of the first of ``names`` that is installed.

    Without any of them the test is skipped, with its reason in pytest's summary (``-ra``); with ``CI=true`` it
    fails.
    """
    where = f"{environ.get('PATH', os.defpath)}:{_BESIDE_PATH}"
    for name in names:
        found = shutil.which(name, path=where)
        if found is not None:
            return found
    missing = f"NOT TESTED: {' or '.join(names)} is not installed. `make test` as root on Debian installs it."
    if environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
