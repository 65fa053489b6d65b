"""Nothing that was secret is in anything that is written down: logs at DEBUG, events, error bodies."""

import base64
import json
import logging

import pytest

from gateway import log
from gateway.core.secret import Secret
from tests import lanes
from tests.e2e.support import settled, until
from tests.e2e.wire import Wire, ask, request
from tests.house import House, house

pytestmark = lanes.BOTH

SECRET = "canary-client-secret-9d1f"
ROUTES = [{"match": "/off/*", "auth": "off"}, {"match": "/signal/*", "on_expired": "signal"}]
ESCAPES = ("/%0d%0alevel=error", "/%1b%5b7mreversed", "/%1b%5d0;title%07", "/%c2%9b7m", "/%e2%80%aex", "/%c2%85x")
"""CR LF, ANSI by ESC, a window title, ANSI by the one-character CSI, a right-to-left override, NEL."""


class Canaries:
    """Everything that must be nowhere, and everything that was written down."""

    def __init__(self) -> None:
        self.secrets: set[str] = {SECRET, base64.b64encode(f"gateway:{SECRET}".encode()).decode()}
        self.bodies: list[str] = []

    def pair(self, tokens: tuple[str, str]) -> tuple[str, str]:
        self.secrets |= set(tokens)
        return tokens

    async def ask(
        self, h: House, path: str, pair: tuple[str, str | None] | None, *fields: str, line: str = "GET"
    ) -> None:
        answer = await ask(h, request(f"{line} {path}", pair, *fields))
        self.secrets |= {v.decode() for n in (b"x-access-token", b"x-refresh-token") for v in answer.values(n)}
        if b"problem" in b"".join(answer.values(b"content-type")):
            self.bodies.append(answer.body.decode())

    def found_in(self, text: str) -> set[str]:
        """Whole secrets, their signatures alone, and what Basic authentication makes of them."""
        parts = self.secrets | {s.rpartition(".")[2] for s in self.secrets}
        return {part[:12] for part in parts if len(part) > 12 and part in text}


@pytest.fixture
def every_log_line(caplog):
    """All loggers at DEBUG, those that ``configure`` caps excepted; what it does to the process is undone."""
    names = [*logging.root.manager.loggerDict, ""]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.root.handlers)
    caplog.set_level(logging.DEBUG)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield caplog
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.root.handlers[:] = handlers


async def stories(h: House, seen: Canaries) -> None:
    """Everything that can go wrong with tokens, and some that goes right."""
    pair = seen.pair(h.expired())
    await seen.ask(h, "/echo", pair)
    await seen.ask(h, "/echo", pair)
    await seen.ask(h, "/deny-once", seen.pair(h.login()))
    await seen.ask(h, "/signal/x", seen.pair(h.expired()))
    await seen.ask(h, "/off/x", seen.pair(h.login()))
    a, b = seen.pair(h.expired("ada")), seen.pair(h.expired("bob"))
    await seen.ask(h, "/echo", (a[0], b[1]))
    await until(lambda: h.auth.revocations)
    for kind, options in (
        ("error", {}),
        ("error", {"error": "invalid_client", "status": 401, "description": SECRET}),
        ("status", {"status": 500, "body": SECRET}),
        ("garbage", {}),
        ("lost", {}),
        ("throttle", {}),
        ("wrong_audience", {}),
        ("expired_grant", {}),
        ("bad_id_token", {}),
    ):
        h.auth.fault(kind, **options)
        await seen.ask(h, "/echo", seen.pair(h.expired()))
    h.auth.clear()


async def bad_requests(h: House, seen: Canaries) -> None:
    """A token in whatever cannot be read."""
    access, refresh = pair = seen.pair(h.login())
    wrong = h.auth.mint(headers={"kid": "canary-kid\r\n\x1b[31m"})
    seen.secrets.add(wrong)
    await seen.ask(h, "/echo", (wrong, refresh))
    await seen.ask(h, "/echo", (access + "x", refresh))
    await seen.ask(h, "/echo", pair, f"Authorization: Bearer {access}")
    await seen.ask(h, f"/x?access_token={access}", None)
    await seen.ask(h, "/a//b", pair)
    await seen.ask(h, f"/_gateway/x?{access}", pair)
    await seen.ask(h, "/echo", pair, f"X {refresh}: broken")
    await seen.ask(h, f"/x#{access}", pair)
    await seen.ask(h, "/" + "x" * 20_000, pair)
    await seen.ask(h, "/echo", pair, line="TRACE")
    await h.api_server.stop()
    await seen.ask(h, "/echo", seen.pair(h.expired()))
    await h.api_server.start()
    async with Wire.to(h.port) as wire:
        wire.send(request("GET /slow", seen.pair(h.expired())))
    await until(lambda: any(e.status == 0 for e in h.requests()))


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_token_and_no_secret_is_ever_written_down(tmp_path, capfd, every_log_line, form):
    """X9: 0 hits in log lines, event reprs and error bodies, whatever happened."""
    emit = log.configure("debug", form)
    server = {"client_secret": SECRET}
    clients = {"clients": {"gateway": SECRET}}
    seen = Canaries()
    async with house(tmp_path, routes=ROUTES, auth=clients, auth_server=server) as h:
        await stories(h, seen)
        await bad_requests(h, seen)
        await settled(h)
        for event in h.events:
            emit(event)
        emit.close()
        addresses = {url.partition("://")[2] for url in (h.api_server.url, h.auth_server.url)}
        written = capfd.readouterr()
        lines = written.err + written.out + every_log_line.text
        assert len(h.requests()) > 20
        assert "subject_mismatch" in lines
        assert seen.found_in(lines) == set()
        assert seen.found_in(repr(h.events)) == set()
        assert seen.found_in("\n".join(seen.bodies)) == set()
        assert len(seen.bodies) > 12
        assert not [a for a in addresses for text in (written.err, *seen.bodies) if a in text]
        assert seen.found_in(repr(h.gateway)) == set()
        assert seen.found_in(repr(vars(h.gateway.refresher))) == set()


def test_the_scan_would_find_them():
    """X9: the control."""
    seen = Canaries()
    pair = seen.pair(("aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.cccccccccccccccc", "dddddddddddddddd"))
    assert len(seen.found_in(f"x {pair} {SECRET}")) == 4
    assert seen.found_in("only the signature cccccccccccccccc") == {"cccccccccccc"}
    assert seen.found_in(repr([Secret(pair[0])])) == set()


@pytest.mark.parametrize("form", ["json", "console"])
async def test_a_client_cannot_write_lines_or_colours_into_the_log(tmp_path, capfd, every_log_line, form):
    """X9, T4: one request, one line, printable; path and kid say what they like."""
    emit = log.configure("debug", form)
    async with house(tmp_path) as h:
        evil_kid = h.auth.mint(headers={"kid": "canary\r\n\x1b[31mlevel=error"})
        for path in ESCAPES:
            await h.get(path, (evil_kid, None))
            await h.get(path, h.expired())
        events = h.requests()
        assert len(events) == 2 * len(ESCAPES)
        for event in events:
            emit(event)
        emit.close()
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == len(events)
        for line in lines:
            plain = line if form == "json" else _without_our_colours(line)
            assert plain.isprintable(), ascii(plain)
            assert "canary" not in plain
        if form == "json":
            assert json.loads(lines[0])["status"] == 401


def _without_our_colours(line: str) -> str:
    """The console's own colours are at the ends of keys and values only."""
    for code in ("0", "1", "2", "31", "32", "33", "35", "36"):
        line = line.replace(f"\x1b[{code}m", "")
    return line
