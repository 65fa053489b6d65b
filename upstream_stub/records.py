"""What the authorization server remembers of the requests it got, for tests and statistics."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from upstream_stub.families import token_id
from upstream_stub.oauth import Answer, Header, Received, parse_json_object

KEPT = 20_000
"""How many requests are remembered; older ones are forgotten, the counts are not."""
_HIDDEN = {"client_secret", "password"}


@dataclass(eq=False)
class TokenRequest:
    """A request for new tokens with a refresh token, whatever became of it."""

    endpoint: str
    """``token``, ``access_refresh`` or ``refresh``."""
    refresh_token_id: str | None
    """See ``token_id``; None where none was sent."""
    params: dict[str, str]
    """The form; the refresh token by its id, secrets as ``…``."""
    client: tuple[str, int] | None
    """Address and port of the peer."""
    headers: list[Header]
    """In order, names in lower case."""
    client_auth: str
    """``client_secret_basic``, ``client_secret_post`` or ``none``: as tried, not as proved."""
    fault: str | None
    """The kind of the fault that it met."""
    outcome: str | None = None
    """``granted`` or the OAuth error (a code, at the endpoints that are not RFC 6749); None: not processed."""
    answered: bool = False
    """What it got, a fault's answer included, was sent before its client left."""
    time: float = field(default_factory=time.monotonic)
    """Seconds by the monotonic clock."""


def refresh_token_of(endpoint: str, request: Received) -> str | None:
    """The refresh token that a request presents."""
    match endpoint:
        case "token":
            return dict(parse_qsl(request.body.decode("latin-1"))).get("refresh_token")
        case "access_refresh":
            return (request.header(b"authorization") or "").partition(" ")[2] or None
        case "refresh":
            return request.query.get("refreshToken")
        case _:
            return None


def token_request(endpoint: str, request: Received, fault: str | None) -> TokenRequest | None:
    """The record of a request for new tokens; None for a login."""
    form = dict(parse_qsl(request.body.decode("latin-1"))) if endpoint == "token" else {}
    if form.get("grant_type") == "password":
        return None
    presented = refresh_token_of(endpoint, request)
    name = None if presented is None else token_id(presented)
    basic = (request.header(b"authorization") or "").lower().startswith("basic ")
    method = "client_secret_basic" if basic else "client_secret_post" if "client_secret" in form else "none"
    params = {key: "…" if key in _HIDDEN else value for key, value in form.items()}
    if name is not None and "refresh_token" in params:
        params["refresh_token"] = name
    return TokenRequest(endpoint, name, params, request.client, request.headers, method, fault)


def outcome_of(answer: Answer) -> str:
    """``granted``, or what was said instead."""
    body = parse_json_object(answer.body)
    if "access_token" in body or body.get("data"):
        return "granted"
    return str(body.get("error", body.get("code", answer.status)))


class Records:
    """Counts of everything, and the last token requests in full."""

    def __init__(self) -> None:
        self.token_requests: deque[TokenRequest] = deque(maxlen=KEPT)
        self.revocations: deque[str] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        """Requests by endpoint."""
        self.outcomes: Counter[str] = Counter()
        self.concurrent_presentations = 0
        self._presented: Counter[str] = Counter()
        self._in_progress: Counter[str] = Counter()

    def presented(self, refresh_token: str) -> int:
        """How often this refresh token was presented, faults included."""
        return self._presented[token_id(refresh_token)]

    @contextmanager
    def presenting(self, refresh_token: str | None) -> Iterator[None]:
        """One presentation, from its arrival until its answer is out."""
        if refresh_token is None:
            yield
            return
        name = token_id(refresh_token)
        self._presented[name] += 1
        self._in_progress[name] += 1
        self.concurrent_presentations = max(self.concurrent_presentations, self._in_progress[name])
        try:
            yield
        finally:
            self._in_progress[name] -= 1
            if not self._in_progress[name]:
                del self._in_progress[name]
