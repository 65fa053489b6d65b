"""One row of the table: bytes in; statuses and what the upstream saw, out."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.headers import Header

TOKEN = b"{token}"
"""Stands for a valid access token."""
HOST = b"Host: gateway.example"
AUTH = b"Authorization: Bearer " + TOKEN
CHUNKED = b"Transfer-Encoding: chunked"

SMUGGLED = b"GET /smuggled HTTP/1.1\r\n%b\r\n%b\r\n\r\n" % (HOST, AUTH)
"""Follows whatever must end its connection. It would be answered, were it read as a request."""
NEXT = b"GET /next HTTP/1.1\r\n%b\r\n%b\r\nConnection: close\r\n\r\n" % (HOST, AUTH)
"""Follows whatever leaves its connection in order."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the upstream reads it."""

    target: bytes = b"/x"
    method: bytes = b"GET"
    body: bytes = b""
    host: bytes | None = b"gateway.example"
    """None: that is not what the row is about."""
    has: tuple[Header, ...] = ()
    """Fields that arrive; all those with the name, in order, names in lower case."""
    lacks: tuple[bytes, ...] = ()
    """Names that do not arrive, in lower case."""


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes of a client's, and what becomes of them."""

    ids: str
    """Of HARDENING.md."""
    name: str
    sent: bytes
    answers: tuple[int, ...]
    """The final status of each answer, in order."""
    seen: tuple[Seen, ...] = ()
    """What reaches the upstream whole, in order."""
    closes: bool = True
    """Nothing behind these bytes is read as a request; False: the next request is answered."""
    interim: tuple[int, ...] = ()
    """The 1xx that the client gets."""
    unlike: tuple[str, ...] = ()
    """Servers that would read the client's own bytes otherwise; what we make of them they read as we do."""
    theirs: tuple[tuple[str, int], ...] = ()
    """A server's own status for what we pass on, where it will not have it."""

    def __str__(self) -> str:
        return f"{self.ids}: {self.name}"

    @property
    def stream(self) -> bytes:
        """The whole of what the client sends."""
        return self.sent + (SMUGGLED if self.closes else NEXT)

    @property
    def statuses(self) -> tuple[int, ...]:
        """Of every answer, that to the next request with them."""
        return self.answers if self.closes else (*self.answers, 200)

    @property
    def arrivals(self) -> tuple[Seen, ...]:
        """Everything that the upstream sees."""
        return self.seen if self.closes else (*self.seen, Seen(b"/next"))

    def at(self, server: str) -> tuple[tuple[int, ...], tuple[Seen, ...]]:
        """``statuses`` and ``arrivals``, with that server as the upstream."""
        status = dict(self.theirs).get(server)
        return (self.statuses, self.arrivals) if status is None else ((status, 200), (Seen(b"/next"),))

    @property
    def accepted(self) -> bool:
        """All of it is HTTP to us, whether or not its credentials are good."""
        return set(self.answers) <= {200, 401} and not self.closes


def head(*lines: bytes, line: bytes = b"GET /x HTTP/1.1", host: bytes | None = HOST, auth: bytes = AUTH) -> bytes:
    """A request's head: ``lines`` come after Host and the credential."""
    own = [line, *([host] if host is not None else []), auth]
    return b"\r\n".join([*own, *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"", line: bytes = b"POST /x HTTP/1.1") -> bytes:
    """A head and the bytes behind it."""
    return head(*lines, line=line) + body


def chunks(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body, one chunk for each piece."""
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n%b\r\n" % trailers


def refused(ids: str, rows: Iterable[tuple[str, bytes]], *, status: int = 400) -> list[Case]:
    """What is answered with ``status`` and the end of its connection, and is never forwarded."""
    return [Case(ids, name, sent, (status,)) for name, sent in rows]


def declined(ids: str, rows: Iterable[tuple[str, bytes]], *, status: int = 400) -> list[Case]:
    """What is refused without a doubt about where it ends: the connection goes on."""
    return [Case(ids, name, sent, (status,), closes=False) for name, sent in rows]


def passed(ids: str, rows: Iterable[tuple[str, bytes, Seen]], **more: object) -> list[Case]:
    """What is forwarded and answered; the connection goes on."""
    return [Case(ids, name, sent, (200,), (seen,), **{"closes": False, **more}) for name, sent, seen in rows]
