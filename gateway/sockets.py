"""The sockets that clients connect to."""

import socket

BACKLOG = 4096


def bound(host: str, port: int, *, together: bool = False) -> socket.socket:
    """A listening socket. ``together``: with others of the same address and user, between which the kernel divides
    the clients evenly (SO_REUSEPORT).

    Raises:
        OSError: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks at it for TCP_NODELAY
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if together:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def several(host: str, port: int, count: int) -> list[socket.socket]:
    """So many, on one address that nobody else listens on.

    Raises:
        OSError: the address is taken, or not ours.
    """
    if port:
        bound(host, port).close()  # sockets that share would join those of another gateway without a word
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(bound(host, sockets[0].getsockname()[1] if sockets else port, together=True))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets
