"""Two gateways that differ in ``[server] express`` and in nothing else, each in front of an upstream of its own.

Both have one authorization server, so that a token is good for both; a refresh token is not, which is why each side
logs in for itself. What then still differs is random, or of the clock: ``Side.plain`` takes it out.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.events import Event
from tests.e2e.corpus.staples import PAIRS
from tests.e2e.corpus.strict import Message
from tests.e2e.stage import Stage
from tests.house import config_text, defaults
from tests.prompt import PromptServer, running
from upstream_stub.auth import AuthServer

ROUTES: list[dict[str, Any]] = [
    {"match": "/off/*", "auth": "off"},
    {"match": "/optional/*", "auth": "optional"},
    {"match": "/any/*", "on_upstream_401": "any"},
    {"match": "/never/*", "on_upstream_401": "never"},
    {"match": "/other/*", "upstream": "other", "strip_prefix": "/other"},
    {"match": "/aud/*", "audience": ["other"]},
    {"match": "/get/*", "methods": ["POST"], "auth": "off"},
]
_DAY = 86_400.0
_AHEAD, _HARD = 1200, 600
"""Seconds: windows so wide that no token leaves its own during a play."""
_REFRESH = {"ahead": f"{_AHEAD}s", "hard": f"{_HARD}s", "ahead_wait": "20s", "unknown_burst": 1_000_000}

_JWT = re.compile(rb"eyJ[\w-]*\.([\w-]+)\.[\w-]*")
_OURS = [
    (re.compile(rb"(?i)\r\ndate: \w{3}, \d\d \w{3} 20\d\d [\d:]{8} GMT"), b"\r\n{date}"),
    (re.compile(rb"(?i)(x-request-id: |\"request_id\": \")[0-9a-f]{32}"), rb"\1{request id}"),
    (re.compile(rb"(?i)x-access-token-expires-at: \d{13}"), b"{expires at}"),
]
_AGES = [age.encode() for age in PAIRS]


class Twins:
    """What both sides share."""

    def __init__(self, auth: AuthServer) -> None:
        self.auth = auth
        one, two = auth.login("one", _DAY)[0], auth.login("two", _DAY)[0]
        forged = one[:-9] + ("A" if one[-9] != "A" else "B") + one[-8:]
        texts = {"one": one, "two": two, "forged": forged, "foreign": auth.mint(sub="one", aud="foreign")}
        self.tokens = {b"{%b}" % name.encode(): token.encode() for name, token in texts.items()}
        """By the places that the traffic keeps for them."""

    def pair(self, age: str) -> tuple[str, str]:
        """An access token of that age and its refresh token, of a family of its own."""
        if age in ("fresh", "expired"):
            return self.auth.login("ada", _DAY if age == "fresh" else -60)
        now, left = int(self.auth.now()), {"ahead": _AHEAD * 3 // 4, "hard": _HARD // 2}[age]
        return self.auth.mint(sub="ada", iat=now - 7200, exp=now + left), self.auth.login("ada")[1]


class Book:
    """The tokens of one side in one play."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins
        self._places = dict(twins.tokens)
        self._names = {token: place for place, token in twins.tokens.items()}

    def fill(self, data: bytes) -> bytes:
        """``data`` with tokens in the places kept for them."""
        for age in _AGES:
            if b"{%b." % age in data and b"{%b.access}" % age not in self._places:
                access, refresh = self._twins.pair(age.decode())
                self._keep(age, access.encode(), refresh.encode())
                self._keep(b"%b.newest" % age, access.encode(), refresh.encode())
        for place, token in self._places.items():
            data = data.replace(place, token)
        return data

    def given(self, sent: bytes, answer: Message) -> None:
        """Store the new tokens in the answer to ``sent`` (with its places), as a well-behaved client does."""
        access = answer.values(b"x-access-token")
        for age in _AGES:
            if access and b"{%b." % age in sent:
                newest = b"%b.newest" % age
                refresh = answer.values(b"x-refresh-token") or [self._places[b"{%b.refresh}" % newest]]
                self._keep(newest, access[0], refresh[0])

    def _keep(self, name: bytes, access: bytes, refresh: bytes) -> None:
        for kind, token in ((b"access", access), (b"refresh", refresh)):
            self._places[b"{%b.%b}" % (name, kind)] = token
            self._names.setdefault(token, b"{%b %d}" % (name, len(self._names)))

    def plain(self, data: bytes) -> bytes:
        """``data`` with the names of tokens in place of tokens."""
        for token, name in self._names.items():
            data = data.replace(token, name)
        return _JWT.sub(_unknown, data)


def _unknown(token: re.Match[bytes]) -> bytes:
    """A token that its client has not been given yet."""
    payload = token[1] + b"=" * (-len(token[1]) % 4)
    return b"{new, of %b}" % str(json.loads(urlsafe_b64decode(payload)).get("sub")).encode()


@dataclass
class Side:
    """One of the two gateways."""

    gateway: Gateway
    server: PromptServer
    port: int
    stage: Stage
    events: list[Event]

    def plain(self, data: bytes, book: Book) -> bytes:
        """``data`` without what is random, of the clock, or this side's address."""
        for pattern, name in _OURS:
            data = pattern.sub(name, data)
        return book.plain(data).replace(self.stage.authority, b"{upstream}")

    def told(self) -> list[str]:
        """The events, in any order: a request's may come after that of the one behind it."""
        return sorted(f"{type(event).__name__}{_facts(event)}" for event in self.events)

    def counted(self) -> Counter[tuple[str, ...]]:
        """How many requests have ended, by route, decision, status and lane."""
        families = {family.name: family for family in self.gateway.tally.snapshot()}
        samples: Mapping[tuple[str, ...], Any] = families["gateway_requests"].samples
        return Counter(samples)

    @property
    def quiet(self) -> bool:
        """Nothing is under way, and the connections at rest are those that the upstream knows to be."""
        upstreams = self.gateway.upstreams.values()
        if any(u.active or u.waiting for u in upstreams) or self.gateway.refresher.under_way:
            return False
        if self.server.server_state.tasks:
            return False
        return sum(u.idle for u in upstreams) == self.stage.resting


def _facts(event: Event) -> tuple[object, ...]:
    names = (f.name for f in fields(event))
    return tuple(getattr(event, n) for n in names if n not in {"request_id", "duration", "express"})


@asynccontextmanager
async def twins(
    folder: Path, routes: list[dict[str, Any]], sections: dict[str, dict[str, Any]], *, verbose: bool
) -> AsyncIterator[tuple[Twins, list[Side]]]:
    """``Twins`` and their two sides, the one with the express lane first.

    ``sections`` are merged over ``house.defaults``; without ``verbose``, plain requests are counted, not told.
    """
    auth = AuthServer(access_lifetime=_DAY)
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(auth.serve())
        sides = []
        for express in (True, False):
            stage = await stack.enter_async_context(Stage.listening())
            path = folder / f"{express}.toml"
            path.write_text(_config(issuer.url, stage.url, express=express, routes=routes, sections=sections))
            events: list[Event] = []
            gateway, server, url = await stack.enter_async_context(running(path, events, verbose=verbose))
            sides.append(Side(gateway, server, int(url.rpartition(":")[2]), stage, events))
        yield Twins(auth), sides


def _config(
    auth: str, api: str, *, express: bool, routes: list[dict[str, Any]], sections: dict[str, dict[str, Any]]
) -> str:
    merged = defaults(auth, api)
    merged["server"] |= {"via": "twin", "express": express}
    merged["auth_server"] |= {"timeout": "20s", "late_answer": "30s"}
    merged["refresh"] = _REFRESH
    for name, keys in sections.items():
        merged[name] = merged.get(name, {}) | keys
    if any(route.get("upstream") for route in routes):
        merged["upstreams.other"] = {"url": api + "/v1", "preserve_host": False}
    return config_text(merged, routes)
