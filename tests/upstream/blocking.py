"""A server in a thread of its own, for what must happen between two turns of the client's loop."""

import contextlib
import os
import select
import socket
import threading


class BlockingServer:
    """Accepts once, reads ``count`` heads and answers them with ``first``; when told, sends ``last`` and closes.

    It reads no more than the heads, so that closing it resets a connection on which a body was sent.
    """

    def __init__(self, *, first: bytes = b"", last: bytes = b"", tls=None) -> None:
        self.first = first
        self.last = last
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.port = self.listener.getsockname()[1]
        self.head_read = threading.Event()
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self.listener.accept()
            sock.settimeout(10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what Nagle keeps back, a reset drops
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            self.head_read.set()
            if self.first:
                sock.sendall(self.first)
            self._told.wait(10)
            if self.last:
                sock.sendall(self.last)
            os.close(sock.detach())  # without TLS's own end, which would need the client's loop

    def finish(self) -> None:
        """Send ``last`` and close, now; the client's loop does not turn meanwhile."""
        self._told.set()
        self._thread.join()

    def close(self) -> None:
        self.finish()
        self.listener.close()


def await_hangup(fd: int) -> None:
    """Block until the kernel knows of the reset (or end) on the client's socket."""
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    assert poll.poll(10_000)
