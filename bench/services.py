"""``python -m bench.services``: a small API and token endpoint for what nginx cannot answer. One process, uvloop.

The API takes a second for its answers, swallows uploads, or refuses tokens that were not granted here; the other
listener grants tokens that were signed beforehand, and counts.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

import uvloop

from bench.serving import Answer, Connection, Request
from bench.tokens import Pair, load

_BACKLOG = 4096
_BEARER = b"Bearer "
_CHALLENGE = b'www-authenticate: Bearer error="invalid_token"\r\n'
_NOT_FOUND = Answer(b'{"error":"not found"}', status=b"404 Not Found")
_REFUSED = Answer(b'{"error":"invalid_token"}', status=b"401 Unauthorized", fields=_CHALLENGE)


@dataclass
class Services:
    """What both listeners know."""

    pairs: list[Pair]
    jwks: bytes
    document: bytes
    """The JSON that the API answers."""
    token_delay: float = field(init=False)
    """Seconds that the token endpoint takes."""
    counts: dict[str, int] = field(init=False)
    seconds: dict[str, float] = field(init=False)
    """How long the token endpoint had each user's refresh."""

    def __post_init__(self) -> None:
        self.reset(0.0)

    def reset(self, token_delay: float) -> None:
        """All refresh tokens are as good as new."""
        self.token_delay = token_delay
        self._by_refresh = {pair.refresh: pair for pair in self.pairs}
        self._granted = {pair.granted.encode() for pair in self.pairs}
        self._user_of: dict[int, str] = {}
        self.counts = {"token_requests": 0, "denied": 0}
        self.seconds = {}

    def api(self, request: Request) -> Answer:
        """Every path wants a bearer token; ``/guarded`` one that was granted here."""
        scheme, token = request.fields.get(b"authorization", b"")[:7], request.fields.get(b"authorization", b"")[7:]
        if scheme != _BEARER or not token:
            return _REFUSED
        match request.target.split(b"?")[0]:
            case b"/guarded" if token not in self._granted:
                return _REFUSED
            case b"/json" | b"/guarded":
                return Answer(self.document)
            case b"/slow":
                return Answer(self.document, delay=1.0)
            case b"/sink":
                return Answer(b'{"received":%d}' % request.received)
            case _:
                return _NOT_FOUND

    def auth(self, request: Request) -> Answer:
        """The token endpoint, its keys, and what the benchmark asks it."""
        match request.target.split(b"?")[0]:
            case b"/token":
                return self._token(request)
            case b"/jwks":
                return Answer(self.jwks)
            case b"/told":
                return Answer(json.dumps({**self.counts, "seconds": self.seconds}).encode())
            case b"/reset":
                self.reset(float(request.target.partition(b"?")[2] or b"0"))
                return Answer(b"{}")
            case _:
                return _NOT_FOUND

    def _token(self, request: Request) -> Answer:
        """A refresh token is good once (RFC 9700 §2.2.2)."""
        self.counts["token_requests"] += 1
        form = parse_qs(request.body.decode())
        pair = self._by_refresh.pop(form.get("refresh_token", [""])[0], None)
        if pair is None:
            self.counts["denied"] += 1
            return Answer(b'{"error":"invalid_grant"}', status=b"400 Bad Request")
        self._user_of[id(request)] = pair.user
        return Answer(_grant(pair), fields=b"cache-control: no-store\r\n", delay=self.token_delay)

    def token_sent(self, request: Request) -> None:
        """The token endpoint's answer has left."""
        user = self._user_of.pop(id(request), None)
        if user is not None:
            self.seconds[user] = time.perf_counter() - request.begun


def _grant(pair: Pair) -> bytes:
    members = {"access_token": pair.granted, "refresh_token": pair.refresh + "-2", "token_type": "Bearer"}
    return json.dumps({**members, "expires_in": 86_400}).encode()


def _ignore(_request: Request) -> None:
    pass


async def _serve(services: Services, api_port: int, auth_port: int) -> None:
    loop = asyncio.get_running_loop()
    for port, answer, sent in (
        (api_port, services.api, _ignore),
        (auth_port, services.auth, services.token_sent),
    ):
        await loop.create_server(partial(Connection, answer, sent), "127.0.0.1", port, backlog=_BACKLOG)
    await asyncio.Event().wait()


def main(folder: Path, api_port: int, auth_port: int) -> None:
    """Serve until killed. ``folder`` holds ``pairs.json``, ``jwks.json`` and ``document.json``."""
    jwks, document = (folder / "jwks.json").read_bytes(), (folder / "document.json").read_bytes()
    services = Services(load(folder / "pairs.json"), jwks, document)
    uvloop.run(_serve(services, api_port, auth_port))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
