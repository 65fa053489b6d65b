"""What a failed write left unread.

An upstream that refuses a body answers, closes, and so resets the connection. Where our next write meets the
reset before the event loop has read the answer, the loop gives the connection up; the answer is still in the
socket's receive buffer. asyncio and uvloop both close the socket only after ``connection_lost`` has returned.
"""

import asyncio
import os
import socket
from collections.abc import Iterator

_READ_SIZE = 64 * 1024


def fileno(transport: asyncio.BaseTransport) -> int:
    """The transport's descriptor; -1 if it has none any more."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    return -1 if sock is None else sock.fileno()


def unread(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """The socket's receive buffer, in pieces; for ``connection_lost`` only."""
    fd = fileno(transport)
    while True:
        try:
            data = os.read(fd, _READ_SIZE)
        except OSError:
            return
        if not data:
            return
        yield data
