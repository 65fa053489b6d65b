"""What each intermediary says of itself and counts: ``Via`` and ``Max-Forwards`` (RFC 9110 §7.6.2, §7.6.3; P9).

The number of ``Via`` members has no limit of its own. A loop comes back to the name that it started from; one that
changes names on its way grows by a member each round, until the head is over its limit (431).
"""

import re
from collections.abc import Iterable

from gateway.core.headers import Header, Headers, values

_NUMBER = re.compile(rb"[0-9]{1,9}")


class Via:
    """One gateway's own member of ``Via``."""

    def __init__(self, name: str) -> None:
        """Args: name: the pseudonym, a token. Two gateways of one name take each other for a loop."""
        self._name = name.lower().encode("ascii")
        self._members = {version: (b"via", f"{version} {name}".encode("ascii")) for version in ("1.0", "1.1")}

    def loops(self, headers: Iterable[Header]) -> bool:
        """The request has been through us. Names of ``headers`` are in lower case.

        A comma in a comment counts as one between members: to be told of a loop that is none, a client has to
        write our name there itself.
        """
        return any(
            name == b"via" and self._name in value.lower() and self._received(value) for name, value in headers
        )

    def _received(self, value: bytes) -> bool:
        """Some member names us as the one that received: ``[protocol/]version name [comment]``."""
        return any(member.split()[1:2] == [self._name] for member in value.lower().split(b","))

    def member(self, version: str) -> Header:
        """The line to append to a message that came over HTTP ``version`` (``1.1`` or ``1.0``).

        A line of its own continues those before it (RFC 9110 §5.3) and leaves their bytes alone.
        """
        return self._members[version]


def forwards_left(headers: Iterable[Header]) -> int | None:
    """``Max-Forwards``; None where it is missing or is not one number, and then it is nobody's to count."""
    found = values(headers, b"max-forwards")
    return int(found[0]) if len(found) == 1 and _NUMBER.fullmatch(found[0]) else None


def counted(headers: Headers) -> Headers:
    """An OPTIONS request's fields for the next hop: with one forward fewer to go (RFC 9110 §7.6.2)."""
    left = forwards_left(headers)
    if not left:
        return headers
    return [(n, b"%d" % (left - 1)) if n == b"max-forwards" else (n, v) for n, v in headers]
