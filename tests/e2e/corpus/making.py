"""What generated messages have in common: fields, bodies, chunks, and where to cut them.

Strategies are made once: Hypothesis validates each new one, which takes longer than the requests themselves.
"""

from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st

from gateway.core.headers import Header

_NAME = b"!#$%&'*+-.^`|~0123456789abcXYZ"
_NO_CONTROL = bytes(b if b == 9 or (b >= 0x20 and b != 0x7F) else 0x80 + b % 0x80 for b in range(256))
"""For ``bytes.translate``: what a value may not hold becomes what it may."""

KNOWN = (
    b"Accept",
    b"Cookie",
    b"cookie",
    b"User-Agent",
    b"Content-Type",
    b"ETag",
    b"X-Test",
    b"x-test",
    b"X-TEST",
    b"DNT",
)
"""Names that nobody on the way has a reason to touch."""


@cache
def values() -> st.SearchStrategy[bytes]:
    """A field's value: whatever is no control byte, without blanks at its ends (RFC 9110 §5.5)."""
    free = st.binary(max_size=24).map(lambda data: data.translate(_NO_CONTROL))
    odd = st.sampled_from([b"", b"a, b", b"b\x85c", b"\xa0x\xa0", b"caf\xc3\xa9", b'"q\\"q"', b"x" * 3000, b":::"])
    return st.one_of(free, odd).map(lambda value: value.strip(b" \t"))


@cache
def names() -> st.SearchStrategy[bytes]:
    """A field's name that is not the gateway's business. Those made up begin with ``z``."""
    made = st.binary(max_size=8).map(lambda data: b"z" + bytes(_NAME[b % len(_NAME)] for b in data))
    return st.one_of(st.sampled_from(KNOWN), made)


@cache
def fields(most: int = 6) -> st.SearchStrategy[list[Header]]:
    """Some fields; names come twice, and in more than one case."""
    return st.lists(st.tuples(names(), values()), max_size=most)


@cache
def bodies() -> st.SearchStrategy[bytes]:
    """Bytes; among them what would be read as HTTP, were it not a body."""
    inner = [
        b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\n\r\n",
        bytes(range(256)) * 300,
    ]
    return st.one_of(st.binary(max_size=64), st.sampled_from(inner))


@dataclass(frozen=True)
class Chunked:
    """A body in chunks: how it is cut and spelled."""

    sizes: list[int]
    spelling: list[str]
    extension: bytes
    trailers: list[Header]

    def wire(self, body: bytes) -> bytes:
        """The framed bytes."""
        data, left = b"", body
        for number, size in enumerate(self.sizes):
            if not left:
                break
            data += self._chunk(left[:size], number)
            left = left[size:]
        if left:
            data += self._chunk(left, len(self.sizes))
        lines = b"".join(b"%b: %b\r\n" % trailer for trailer in self.trailers)
        return data + b"0%b\r\n%b\r\n" % (self.extension, lines)

    def _chunk(self, data: bytes, number: int) -> bytes:
        size = format(len(data), self.spelling[number % len(self.spelling)]).encode()
        return b"%b%b\r\n%b\r\n" % (size, self.extension, data)


@cache
def chunkings() -> st.SearchStrategy[Chunked]:
    """Ways to cut a body into chunks."""
    dropped = st.sampled_from([b"Authorization", b"Host", b"X-Refresh-Token", b"Via", b"Expect", b"Set-Cookie"])
    return st.builds(
        Chunked,
        st.lists(st.integers(1, 40), max_size=6),
        st.lists(st.sampled_from(["x", "X", "04x"]), min_size=1, max_size=3),
        st.sampled_from([b"", b"", b";a", b";a=b", b';a="b c"', b";a=b;c"]),
        st.lists(st.tuples(st.one_of(names(), dropped), values()), max_size=2),
    )


@cache
def cuts() -> st.SearchStrategy[list[int]]:
    """Where to cut a stream of bytes: nowhere, somewhere, or everywhere near its beginning."""
    somewhere = st.lists(st.integers(0, 1 << 20), max_size=8)
    early = st.lists(st.integers(0, 700), max_size=12)
    return st.one_of(somewhere, early, st.just(list(range(400))))


HOPS = st.lists(st.integers(0, 3), max_size=2)


def hops(fields: list[Header], which: list[int]) -> list[bytes]:
    """Some of the names for ``Connection``: those made up, one that is not there, none that others need."""
    own = [name for name, _ in fields if name.startswith(b"z")]
    return [own[n] if n < len(own) else b"z-nothing" for n in which]
