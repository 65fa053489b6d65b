"""Which origins an upstream allows, learnt from its answers, so that our own errors can say the same (C3)."""

from gateway.core.bounded import Bounded
from gateway.core.headers import Headers, allows_origin, values

_REMEMBERED = 10_000
_LONGEST = 300
"""Bytes of an origin: a host name has 253 at most (RFC 1035 §2.3.4)."""


class Allowances:
    """Remembers origins that an upstream's own answers named; bounded."""

    def __init__(self, expose: bytes) -> None:
        """Args: expose: our response names, as a list field's value."""
        self._expose = expose + b", WWW-Authenticate, Retry-After"
        self._known: Bounded[tuple[str, bytes], bool] = Bounded(_REMEMBERED)

    def learn(self, upstream: str, origin: bytes, headers: Headers) -> None:
        """An answer of the upstream's went by. Some APIs allow every origin: long ones must not fill the memory."""
        if len(origin) <= _LONGEST and allows_origin(headers, origin):
            credentials = values(headers, b"access-control-allow-credentials") == [b"true"]
            self._known[upstream, origin] = credentials

    def for_problem(self, upstream: str, origin: bytes | None) -> Headers:
        """The same allowance for an answer of our own."""
        if origin is None:
            return []
        credentials = self._known.get((upstream, origin))
        if credentials is None:
            return []
        fields = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", self._expose),
            (b"vary", b"Origin"),
        ]
        return [*fields, (b"access-control-allow-credentials", b"true")] if credentials else fields
