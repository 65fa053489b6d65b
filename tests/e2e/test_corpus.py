"""The corpus through a whole gateway, with three upstreams in turn: a strict reader, nginx, Python's http.server.

Whatever can take the express lane does, but for the row ``asgi``: there it is closed, before the strict reader.
"""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio
from hypothesis import settings

from tests import lanes
from tests.e2e.corpus import CASES, strict
from tests.e2e.corpus.case import NEXT, TOKEN, Case, Seen
from tests.e2e.corpus.expectations import UNKNOWN
from tests.e2e.corpus.servers import Read, Witness, nginx, plain, reply, strictly
from tests.e2e.engine import pieces
from tests.house import House, house

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = [{"match": "/off/*", "auth": "off"}]
"""Where there are rules, ambiguous paths are refused."""
PATIENCE = 30.0
"""Seconds; only a test that fails waits so long."""


@dataclass
class Line:
    """A gateway and what is behind it."""

    kind: str
    h: House
    upstream: Witness


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def line(request, tmp_path_factory):
    """One gateway for each kind of upstream, for the whole table."""
    home = Path(tempfile.mkdtemp(prefix="corpus-"))
    servers = {"strict": strictly, "asgi": strictly, "nginx": partial(nginx, home), "python": plain}
    try:
        async with servers[request.param]() as witness:
            upstream = {"url": witness.url, "identity_headers": {"X-User": "sub"}}
            with lanes.lane("asgi" if request.param == "asgi" else "warm"):
                async with house(tmp_path_factory.mktemp("gateway"), upstream=upstream, routes=ROUTES) as h:
                    for _ in range(2):  # the first one opens the connection to the upstream
                        assert (await h.get("/x", h.login())).status_code == 200
                    assert any(e.express for e in h.requests()) == (request.param != "asgi")
                    yield Line(request.param, h, witness)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def filled(data: bytes, h: House) -> tuple[bytes, bytes]:
    """With tokens of the house in the places kept for them; and the access token."""
    access, refresh = h.login()
    return data.replace(TOKEN, access.encode()).replace(b"{refresh}", refresh.encode()), access.encode()


async def said(port: int, data: bytes, cuts: list[int] | None = None, *, eof: bool = False) -> bytes:
    """Everything that comes back until the other side closes. A reset counts as that."""
    received = b""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writing = asyncio.create_task(pieces(writer, data, cuts or []))
        with suppress(ConnectionError):
            if eof:
                await writing
                writer.write_eof()
            while more := await reader.read(1 << 16):
                received += more
        await writing
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return received


def identity(seen: Seen, read: Read) -> tuple[bytes, bytes, bytes | None, bytes]:
    """What the table says of a request, in the terms of ``Read.identity``."""
    return seen.method, seen.target, read.host if seen.host is None else seen.host, seen.body


def check_fields(read: Read, seen: Seen, token: bytes) -> None:
    """The fields that the table speaks of, and that our own are there once."""
    for name in {n for n, _ in seen.has}:
        wanted = [v.replace(TOKEN, token) for n, v in seen.has if n == name]
        assert [v for n, v in read.fields if n.lower() == name] == wanted
    names = [n.lower() for n, _ in read.fields]
    assert set(seen.lacks).isdisjoint(names)
    for name in (b"host", b"x-forwarded-for", b"x-forwarded-proto", b"via"):
        assert names.count(name) == 1, name


@pytest.mark.parametrize("line", ["strict", "asgi", "nginx", "python"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_what_becomes_of_it(line, case):
    """P1-P17, N2, D1: see the table. Nothing that is refused reaches an upstream, nothing is smuggled past one."""
    await _play(line, case, [])


@pytest.mark.parametrize("line", ["strict", "asgi"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_it_does_not_matter_how_the_bytes_come(line, case):
    """P1-P17, N2, D1: the same table, in segments of any size; in the long run in many ways, and byte by byte."""
    soak = not settings.default.derandomize
    for seed in range(20 if soak else 1):
        random = Random(f"{seed} {case}")  # noqa: S311  # repeatable, not secret
        await _play(line, case, [random.randrange(1 << 20) for _ in range(40)])
    if soak:
        await _play(line, case, list(range(3000)))


async def _play(line: Line, case: Case, cuts: list[int]) -> None:
    line.upstream.read.clear()
    line.upstream.faults.clear()
    data, token = filled(case.stream, line.h)
    received = await said(line.h.port, data, cuts)

    statuses, arrivals = case.at(line.kind)
    reads = list(line.upstream.read)
    assert not line.upstream.faults
    methods = [r.method for r in reads] if any(r.method == b"HEAD" for r in reads) else []
    answers, rest = strict.answers(received, methods, ended=True)
    assert tuple(a.status for a in answers if a.status >= 200) == statuses, received[:4000]
    assert rest == b""
    assert {a.status for a in answers if a.status < 200} <= set(case.interim)
    assert [r.identity for r in reads] == [identity(s, r) for s, r in zip(arrivals, reads, strict=False)]
    assert len(reads) == len(arrivals)
    if line.kind in ("strict", "asgi"):
        for read, seen in zip(reads, arrivals, strict=True):
            check_fields(read, seen, token)
    bodies = [a.body for a in answers if a.status == 200]
    assert bodies == [b"" if r.method == b"HEAD" else reply(r.method, r.target, r.body) for r in reads]


@pytest.mark.parametrize("line", ["nginx", "python"], indirect=True)
@pytest.mark.parametrize("case", [c for c in CASES if c.accepted], ids=str)
async def test_what_we_pass_on_they_read_as_we_do(line, case):
    """P1-P7, P16: the client's own bytes, straight to them: whatever they read otherwise, we refuse or rewrite."""
    line.upstream.read.clear()
    data, _ = filled(case.stream, line.h)
    await said(line.upstream.port, data, eof=True)
    theirs = [r.identity for r in line.upstream.read]
    ours = [(s.method, s.target, s.host, s.body) for s in case.arrivals]
    left = iter(theirs)
    alike = len(theirs) == len(case.statuses) and all(any(t == o for t in left) for o in ours)
    assert alike == (line.kind not in case.unlike), (theirs, ours)


@pytest.mark.parametrize("line", ["nginx", "python"], indirect=True)
async def test_the_corpus_has_teeth(line):
    """P1-P7: without us, these servers would have read some of what we refuse, the hidden request among it."""
    hidden = 0
    for case in [c for c in CASES if c.closes and not c.seen]:
        line.upstream.read.clear()
        await said(line.upstream.port, filled(case.stream, line.h)[0], eof=True)
        hidden += any(r.target.endswith(b"/smuggled") for r in line.upstream.read)
    assert hidden > 20


@pytest.mark.parametrize("line", ["strict", "asgi"], indirect=True)
@pytest.mark.parametrize("expectation", UNKNOWN, ids=str)
async def test_an_unknown_expectation_hides_no_request(line, expectation):
    """P13: 417, or as if it were not there (RFC 9110 §10.1.1); the body is a body, and nobody upstream sees it."""
    line.upstream.read.clear()
    body = b"GET /off/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    sent = b"POST /x HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer %b\r\nExpect: %b\r\nContent-Length: %d\r\n\r\n"
    data, _ = filled(sent % (TOKEN, expectation, len(body)) + body + NEXT, line.h)
    answers, _ = strict.answers(await said(line.h.port, data), [], ended=True)
    assert [a.status for a in answers] in ([200, 200], [417, 200], [417])
    assert [r.target for r in line.upstream.read] in ([b"/x", b"/next"], [b"/next"], [])
    assert not any(n.lower() == b"expect" for r in line.upstream.read for n, _ in r.fields)
