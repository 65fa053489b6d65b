"""What clients and the log are told of a request beside its answer."""

import os
import random
import re

from gateway.core.lifecycle import Alongside, Forward, Pass, Refresh, Refuse

NAMES = {state: state.__name__.lower() for state in (Pass, Forward, Alongside, Refresh, Refuse)}
"""What the log calls decisions."""

_random = random.Random(os.urandom(32))  # noqa: S311  # no secret: it only has to be unlike any other


def new_request_id() -> str:
    """Unlike any other, in this process or elsewhere, and says nothing of how many there were. No secret."""
    return f"{_random.getrandbits(128):032x}"


def path_told(target: bytes) -> str:
    """The path, undecoded, so that one sees what made it ambiguous; without query and fragment (X9)."""
    return re.split(rb"[?#]", target, maxsplit=1)[0].decode("latin-1") if target.startswith(b"/") else ""
