"""An upstream as the edge sees it: where it is, what it may see, and what its answers must say."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.answers import AnswerForm
from gateway.core.bounded import Learnt
from gateway.core.headers import Header, Headers, RequestFilter
from gateway.core.paths import strip
from gateway.core.response_head import ResponseHead
from gateway.core.routes import Rule
from gateway.core.tokens import AccessToken
from gateway.core.wire import FieldLines
from gateway.duplex import Duplex
from gateway.edge.body import RequestBody

_ANSWERS = 256


class Response(Protocol):
    """One answer of an upstream."""

    status: int
    error: Exception | None
    """What ended it before it was complete."""
    on_news: Callable[[], None] | None
    """Called in place of waking a reader: at the head, at more of the body, at its end, at ``error``.

    By the time of the end the connection is free for the next request. What is called may leave the body for later,
    close the response, or set this to None and leave the rest to a task that reads; it must not raise. Body that
    came before an ``error`` is still there to be taken; only then ``take`` raises it.
    """

    @property
    def headers(self) -> Headers:
        """As the upstream sent them. Not to be changed."""

    @property
    def http_version(self) -> str:
        """``1.1`` or ``1.0``."""

    @property
    def received(self) -> ResponseHead | None:
        """The head, once it is here."""

    @property
    def stale(self) -> bool:
        """No byte of an answer came: an idempotent request of ``Begin`` may be sent once more (B16)."""

    @property
    def complete(self) -> bool:
        """Nothing more will come: ``take`` hands out the rest, or all."""

    @property
    def at_end(self) -> bool:
        """The whole body has been handed out."""

    def take(self) -> bytes | None:
        """What has arrived, without waiting; None: nothing yet."""

    def expect(self) -> None:
        """All is taken and more is wanted: the upstream's time counts until there is news."""

    async def head(self) -> None:
        """Wait until there is a head. Raises: GatewayError: there will be none."""

    async def read(self) -> bytes:
        """The next bytes; ``b""`` at the end."""

    async def drain(self, limit: int) -> None:
        """Drop the rest."""

    def switch(self) -> Duplex:
        """After a 101: the connection, which is the caller's to end. Raises: GatewayError: it is lost."""

    def close(self) -> None:
        """Let go."""


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """One request for an upstream, byte for byte."""

    method: bytes
    target: bytes = field(repr=False)
    fields: FieldLines = field(repr=False)
    """All but the framing fields."""
    body: RequestBody | None
    response_timeout: float | None
    """Seconds until the head; None: the upstream's own."""
    lane: int = 0
    """The number of the rule that it came by."""
    upgrade: bool = False
    """It asks for another protocol: the answer may be a 101."""
    again: bool = False
    """It was lost on a connection that had gone stale: it goes on a new one, and not a third time (B16)."""


Send = Callable[[Outgoing], Awaitable[Response]]
"""Sends one request; returns with the response's head."""


class Begin(Protocol):
    """Sends one small request at once, on a connection that is there."""

    def __call__(
        self,
        method: bytes,
        target: bytes,
        fields: FieldLines,
        *,
        body: bytes | None = None,
        lane: int = 0,
        response_timeout: float | None = None,
    ) -> Response | None:
        """The response to come; None: there is no connection, and nothing was sent. Raises: GatewayError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One configured upstream."""

    name: str
    send: Send = field(repr=False)
    begin: Begin = field(repr=False)
    filter: RequestFilter = field(repr=False)
    scheme: bytes = b"http"
    authority: bytes = b""
    """Its own host and port, for ``Host`` where the client's is not preserved."""
    path_prefix: bytes = b""
    preserve_host: bool = True
    identity: Mapping[bytes, str] = field(default_factory=dict)
    """Header name (lower case) to the verified claim that it carries."""
    answers: Learnt[tuple[ResponseHead, tuple[Header, ...]], AnswerForm] = field(
        default_factory=lambda: Learnt(_ANSWERS), repr=False, compare=False
    )
    """By a known head and what was added to it: what the client got, by the rules of this target's one gateway."""

    def target(self, target: bytes, rule: Rule) -> bytes:
        """The request target for this upstream: the client's bytes, between the prefixes (N5)."""
        if target == b"*":
            return target
        return self.path_prefix + strip(target, rule.strip_prefix)

    def host(self, sent: bytes) -> Header:
        """The ``Host`` field."""
        return b"host", sent if self.preserve_host and sent else self.authority

    def identities(self, token: AccessToken | None) -> Headers:
        """Verified claims for the upstream; a claim that is absent or cannot be a field's value is left out."""
        if token is None:
            return []
        claims = ((name, _text(token.verified.claims.get(claim))) for name, claim in self.identity.items())
        return [(name, value) for name, value in claims if value is not None]

    def location(self, value: bytes, rule: Rule, scheme: bytes, host: bytes) -> bytes:
        """A ``Location`` of this upstream's own as the client must see it (``preserve_host = false``)."""
        origin = self.scheme + b"://" + self.authority
        if value.startswith(origin) and value[len(origin) : len(origin) + 1] in (b"", b"/", b"?", b"#"):
            public = scheme + b"://" + host if host else b""  # HTTP/1.0 knows no Host
            return public + self._public(value[len(origin) :], rule)
        return self._public(value, rule) if value.startswith(b"/") and not value.startswith(b"//") else value

    def _public(self, path: bytes, rule: Rule) -> bytes:
        return rule.strip_prefix + strip(path, self.path_prefix)


def _text(claim: object) -> bytes | None:
    """A claim as a field's value. Control characters never get out (P17).

    The members of a list are joined by commas; one that holds a comma is left out, or it would read as two.
    """
    if isinstance(claim, list):
        members = [_text(member) for member in claim]
        return b",".join(m for m in members if m and b"," not in m) or None
    if isinstance(claim, bool):
        return b"true" if claim else b"false"
    if not isinstance(claim, str | int | float):
        return None
    text = str(claim)
    return text.encode() if text.isprintable() and text == text.strip() else None
