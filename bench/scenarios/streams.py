"""One body of a gibibyte on one connection, each way. Blocking sockets: nothing in Python is faster."""

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.check import Question, question, verify
from bench.errors import WrongAnswerError
from bench.peers import AIOHTTP, COMPILED, DIRECT, OURS
from bench.programs import LOOPBACK
from bench.samples import Sample
from bench.scenarios.base import MIB, Scenario
from bench.scenarios.throughput import entries
from bench.stage import Setting
from bench.targets import Target
from bench.upstream import GIB, document
from bench.watch import Seen, watching

_PIECE = 1024**2
_TIMEOUT = 60.0
_MOST_HEAD = 65536


@dataclass(frozen=True, kw_only=True)
class Stream(Scenario):
    """How fast, for how much processor time, and whether the proxy keeps what it should pass on."""

    columns: Sequence[str] = ("mb_s", "cpu_gb", "growth", "peak")
    main: str = "mb_s"
    path: str
    """Of the body, or of what takes it."""
    size: int = GIB
    """Bytes."""

    def prepare(self, target: Target) -> None:
        """Right answers to small requests, and a first stream that nobody counts."""
        verify(target, self._small(target))
        self._once(target)

    def _small(self, target: Target) -> Question:
        return question(target, "/json", document())

    def measure(self, target: Target, seconds: int) -> tuple[Sample, Seen]:
        """One stream, on a connection of its own."""
        del seconds
        target.forget_peak()
        before = target.resident()
        with watching(target) as seen:
            begun = time.perf_counter()
            self._once(target)
            elapsed = time.perf_counter() - begun
        sample = {"mb_s": self.size / 1e6 / elapsed}
        if target.program:
            peak = target.peak()
            sample |= {"cpu_gb": seen.cpu * GIB / self.size, "growth": max(0, peak - before) / MIB}
            sample["peak"] = peak / MIB
        return sample, seen

    def _once(self, target: Target) -> None:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Download(Stream):
    """The API's body to the client."""

    def _once(self, target: Target) -> None:
        with socket.create_connection((LOOPBACK, target.port), timeout=_TIMEOUT) as sock:
            sock.sendall(_head(target, f"GET {self.path} HTTP/1.1"))
            head, rest = _read_head(target, sock)
            _expect(target, int(_length(head)) == self.size, "another length")
            buffer, missing = bytearray(_PIECE), self.size - len(rest)
            while missing:
                count = sock.recv_into(buffer, min(_PIECE, missing))
                _expect(target, count > 0, f"{missing} bytes short")
                missing -= count


@dataclass(frozen=True, kw_only=True)
class Upload(Stream):
    """The client's body to the API, which says how much has come."""

    def _once(self, target: Target) -> None:
        with socket.create_connection((LOOPBACK, target.port), timeout=_TIMEOUT) as sock:
            sock.sendall(_head(target, f"PUT {self.path} HTTP/1.1", f"Content-Length: {self.size}"))
            piece = memoryview(bytes(_PIECE))
            for _ in range(self.size // _PIECE):
                sock.sendall(piece)
            head, body = _read_head(target, sock)
            while len(body) < int(_length(head)):
                body += sock.recv(_PIECE)
            _expect(target, body == b'{"received":%d}' % self.size, f"the API has got {body!r}")


def _head(target: Target, line: str, *more: str) -> bytes:
    fields = target.stage.fields(target.stage.token, target.host, *more)
    return "\r\n".join([line, *fields, "", ""]).encode()


def _read_head(target: Target, sock: socket.socket) -> tuple[bytes, bytes]:
    read = b""
    while b"\r\n\r\n" not in read:
        piece = sock.recv(_MOST_HEAD)
        _expect(target, bool(piece), "closed without an answer")
        read += piece
    head, _, rest = read.partition(b"\r\n\r\n")
    _expect(target, head.startswith(b"HTTP/1.1 200"), head[:80].decode("latin-1"))
    return head, rest


def _length(head: bytes) -> bytes:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return found.group(1) if found else b"-1"


def _expect(target: Target, right: bool, what: str) -> None:  # noqa: FBT001  # a condition and what its failure means
    if not right:
        raise WrongAnswerError(f"{target.label}: a stream went wrong: {what}")


_COMPARED = (DIRECT, *COMPILED, *OURS, AIOHTTP)

DOWN = Download(
    id="stream-down",
    title="1 GiB down",
    path="/1g",
    about="One answer of 1 GiB on one connection.",
    entries=entries(_COMPARED),
)
UP = Upload(
    id="stream-up",
    title="1 GiB up",
    path="/sink",
    about="One request with a body of 1 GiB and a Content-Length, on one connection.",
    entries=entries(_COMPARED, Setting(behind="services")),
)
ALL_STREAMS = [DOWN, UP]
