"""What the log calls things."""

import re

from gateway.core.lifecycle import Alongside, Forward, Pass, Refresh, Refuse

NAMES = {state: state.__name__.lower() for state in (Pass, Forward, Alongside, Refresh, Refuse)}
"""Decisions."""


def path_told(target: bytes) -> str:
    """The path, undecoded, so that one sees what made it ambiguous; without query and fragment (X9)."""
    return re.split(rb"[?#]", target, maxsplit=1)[0].decode("latin-1") if target.startswith(b"/") else ""
