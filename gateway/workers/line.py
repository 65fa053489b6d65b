"""What the supervisor and one worker have to say to each other.

A pair of sockets, each of which is one process's alone: whoever is left by the other reads an end of file.
Orders are not given by signals: systemd and terminals send theirs to every process, so a worker would hear each
twice, and the second one means "at once".
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final, Self

READY: Final = b"r"
"""The worker serves."""
STOP: Final = b"s"
"""Drain and end."""
INSIST: Final = b"i"
"""End at once."""

_ENOUGH: Final = 64


class Line:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        """Takes ``end`` over."""
        self._end = end
        end.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Both ends."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """For selectors: readable where ``heard`` has something to return."""
        return self._end.fileno()

    def say(self, word: bytes) -> None:
        """Say it, to nobody where the other end is gone."""
        with contextlib.suppress(OSError):
            os.write(self._end.fileno(), word)

    def heard(self) -> Iterator[bytes]:
        """What was said since. The last one is empty where the other end is gone."""
        while True:
            try:
                said = self._end.recv(_ENOUGH)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            yield from (bytes((word,)) for word in said)
            if not said:
                yield b""
                return

    def close(self) -> None:
        """Let go of this end."""
        self._end.close()
