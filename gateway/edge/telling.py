"""What clients and the log are told of a request beside its answer."""

import os
import re
from itertools import count

from gateway.core.lifecycle import Alongside, Forward, Pass, Refresh, Refuse

NAMES = {state: state.__name__.lower() for state in (Pass, Forward, Alongside, Refresh, Refuse)}
"""What the log calls decisions."""

_PROCESS = os.urandom(8).hex()
_numbers = count(int.from_bytes(os.urandom(6), "big"))


def new_request_id() -> str:
    """Unlike any other, in this process or elsewhere; no secret. Counted: that costs half of drawing it."""
    return f"{_PROCESS}{next(_numbers):016x}"


def path_told(target: bytes) -> str:
    """The path, undecoded, so that one sees what made it ambiguous; without query and fragment (X9)."""
    return re.split(rb"[?#]", target, maxsplit=1)[0].decode("latin-1") if target.startswith(b"/") else ""
