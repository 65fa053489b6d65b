"""Header fields as lists of byte pairs: order, duplicates and unknown fields survive (P10).

What crosses the gateway, both ways, is decided here. Nothing below reads a parsed URL or a dict of headers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress

from gateway.core.bounded import Learnt
from gateway.core.shapes import Shape, shape_of

Header = tuple[bytes, bytes]
Headers = list[Header]
"""Names in lower case where we compare them; values as sent, latin-1 or not."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 §7.6.1 and those that older peers still send: they end at each hop (P8)."""

FRAMING = frozenset({b"content-length", b"expect", b"host"})
"""Written anew by whoever writes the message; ``Connection`` cannot name them away."""

_FOR_EVERY_RECIPIENT = frozenset(
    {
        *(b"cache-control", b"content-encoding", b"content-range", b"content-type", b"cookie", b"set-cookie"),
        *(b"vary", b"via", b"www-authenticate"),
    }
)
"""No option of a connection, whatever ``Connection`` says (RFC 9110 §7.6.1): without one of these the rest of the
message means something else (X6)."""

PASSED_ON = frozenset(
    {
        *(b"accept", b"accept-language", b"if-modified-since", b"if-none-match", b"priority", b"range", b"referer"),
        *(b"traceparent", b"tracestate", b"baggage", b"b3", b"sentry-trace", b"uber-trace-id", b"user-agent"),
        *(b"x-b3-parentspanid", b"x-b3-sampled", b"x-b3-spanid", b"x-b3-traceid", b"x-cloud-trace-context"),
        *(b"x-amzn-trace-id", b"x-datadog-parent-id", b"x-datadog-trace-id", b"x-correlation-id", b"x-request-id"),
    }
)
"""Request fields that often differ between two requests and that no rule of ours reads, unless configured."""

_CGI_PROXY = b"proxy"
"""Becomes HTTP_PROXY in a CGI-like server, which then calls its own upstreams through it (CVE-2016-5385)."""

_CONDITIONAL = frozenset({b"if-none-match", b"if-modified-since"})

_CACHE_DIRECTIVES = frozenset({b"expires", b"x-accel-expires", b"surrogate-control", b"edge-control"})
"""Each of them can make a shared cache store a response (X2); nginx heeds X-Accel-Expires before all others."""

_CACHE_CONTROL = b"cache-control"
"""So does every name that ends so: the targeted fields of RFC 9213 are heeded before Cache-Control itself."""

_NO_OPTIONS: frozenset[bytes] = frozenset()
_USUAL_OPTIONS = {v: frozenset({v.lower()}) for v in (b"keep-alive", b"Keep-Alive", b"close", b"Close")}

_WITHOUT_LENGTH = (204, 304)

_NO_NAME = b":"
"""What no name begins or ends with."""

_MASKS = 1024
_SHORT = 64
"""Bytes of the options of a ``Connection`` that are remembered (D6)."""

_CORS = b"access-control-"
"""How the names of all fields of CORS begin (Fetch §3.3)."""


def values(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """Every value of the field ``name`` (given in lower case), in order."""
    return [v for n, v in headers if n.lower() == name]


def tokens(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """The lower-cased members of a comma-separated list field, over all its lines (RFC 9110 §5.6.1)."""
    members = (m.strip() for v in values(headers, name) for m in v.lower().split(b","))
    return [m for m in members if m]


def connection_options(values: Sequence[bytes]) -> frozenset[bytes]:
    """The names that the values of ``Connection`` are, as ``spelled``."""
    if not values:
        return _NO_OPTIONS
    if len(values) == 1:
        usual = _USUAL_OPTIONS.get(values[0])
        if usual is not None:
            return usual
    return frozenset(m for v in values for part in v.split(b",") if (m := spelled(part.strip())))


def spelled(name: bytes) -> bytes:
    """``name`` as a CGI-like server reads it: case and underscores do not tell two fields apart (X1)."""
    return name.lower().replace(b"_", b"-")


def is_invalid_token(headers: Iterable[Header]) -> bool:
    """A Bearer challenge says ``error="invalid_token"`` (RFC 6750 §3.1), quoted or not."""
    challenges = b",".join(values(headers, b"www-authenticate")).lower().replace(b" ", b"").replace(b'"', b"")
    return b"bearer" in challenges and b"error=invalid_token" in challenges


def is_event_stream(headers: Iterable[Header]) -> bool:
    """The content is a stream of server-sent events, which may stay open for days."""
    return any(
        v.partition(b";")[0].strip().lower() == b"text/event-stream" for v in values(headers, b"content-type")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenNames:
    """The field names that belong to the gateway, in lower case."""

    access: bytes = b"authorization"
    refresh: bytes = b"x-refresh-token"
    new_access: bytes = b"x-access-token"
    new_refresh: bytes = b"x-refresh-token"
    expires_at: bytes = b"x-access-token-expires-at"
    refreshed: bytes = b"x-token-refreshed"

    @property
    def response(self) -> tuple[bytes, ...]:
        """The names on a response, which an upstream may not use (X4)."""
        return self.new_access, self.new_refresh, self.expires_at, self.refreshed


class RequestFilter:
    """Takes away what the upstream must not see. One for each upstream, made at start."""

    def __init__(
        self, names: TokenNames, identity: Sequence[bytes], untrusted: frozenset[bytes], prefix: bytes
    ) -> None:
        """Args:
        names: those of the gateway's own fields.
        identity: names that carry verified claims.
        untrusted: further names that only the gateway writes.
        prefix: how names begin that only the gateway writes.
        """
        ours = {spelled(n) for n in (names.refresh, *names.response, *identity)} - {names.access}
        self._drop = HOP_BY_HOP | FRAMING | ours | untrusted | {_CGI_PROXY}
        self._prefix = prefix
        self._access = names.access
        self._kept = _FOR_EVERY_RECIPIENT | {names.access}

    def __call__(
        self, headers: Headers, *, access: bytes | None, conditional: bool, extra: Iterable[Header]
    ) -> Headers:
        """The fields for the upstream, in their order.

        Args:
            headers: as the client sent them, names in lower case.
            access: the new value of the access token's field; None leaves the client's as it is.
            conditional: False takes ``If-None-Match`` and ``If-Modified-Since`` away (X3).
            extra: fields of ours, appended last, so that nothing the client says can take them away (X6).
        """
        drop = self._drop
        named = tokens(headers, b"connection")
        if named:
            drop = drop.union({spelled(n) for n in named} - self._kept)
        if not conditional:
            drop |= _CONDITIONAL
        prefix = self._prefix
        kept = [
            h
            for h in headers
            if h[0] not in drop and not h[0].startswith(prefix) and (b"_" not in h[0] or self._passes(h[0], drop))
        ]
        if access is not None:
            kept = self._with_access(kept, access)
        kept.extend(extra)
        return kept

    def _passes(self, name: bytes, drop: frozenset[bytes]) -> bool:
        """A name with an underscore that no server reads as a dropped one, nor as the judged token's."""
        read = spelled(name)
        return read not in drop and read != self._access and not read.startswith(self._prefix)

    def _with_access(self, headers: Headers, value: bytes) -> Headers:
        field = (self._access, value)
        kept = [field if n == self._access else (n, v) for n, v in headers]
        return kept if field in kept else [*kept, field]


@dataclass(slots=True, kw_only=True)
class Crossing:
    """What a response must take along to the client."""

    tokens: Headers
    """The new tokens' fields; empty without a refresh."""
    vary: bytes = b""
    """The field names that carried the credential, where a cache must know (CONTRACT §2)."""
    added: Headers = field(default_factory=list)
    """Further fields of ours."""
    location: Callable[[bytes], bytes] | None = None
    """Turns a ``Location`` of the upstream's back into ours."""


class ResponseFilter:
    """Takes away what a client must not see, and adds what it must. What it decided for a shape it remembers."""

    def __init__(self, names: TokenNames, *, own_cors: bool = False) -> None:
        """Args: own_cors: the gateway answers CORS itself; what the upstream says of it is taken away (C2)."""
        self._drop = HOP_BY_HOP | {spelled(n) for n in names.response}
        self._own_cors = own_cors
        self._masks: Learnt[tuple[Shape, frozenset[bytes], bool, bool], bytes] = Learnt(_MASKS)

    def __call__(self, headers: Headers, status: int, crossing: Crossing) -> Headers:
        """The fields for the client, in their order."""
        shape = shape_of(tuple([n for n, _ in headers]))
        options = connection_options(shape.values(headers, b"connection"))
        kept = list(compress(headers, self.mask(shape, options, status, tokens=bool(crossing.tokens))))
        if crossing.location is not None:
            kept = [(n, crossing.location(v)) if n.lower() == b"location" else (n, v) for n, v in kept]
        kept.extend(crossing.added)
        kept.extend(token_fields(crossing))
        return kept

    def mask(self, shape: Shape, options: frozenset[bytes], status: int, *, tokens: bool = False) -> bytes:
        """A byte for each field of an answer of this shape and status: 1 if the client may see it, else 0.

        ``options`` are what its ``Connection`` names; ``tokens``: new ones go out with it.
        """
        key = (shape, options, status in _WITHOUT_LENGTH, tokens)
        mask = self._masks.get(key)
        if mask is None:
            mask = self._judged(shape.names, *key[1:])
            if shape.lasting and sum(map(len, options)) <= _SHORT:
                self._masks.learn(key, mask)
        return mask

    def _judged(self, names: Sequence[bytes], options: frozenset[bytes], lengthless: bool, tokens: bool) -> bytes:  # noqa: FBT001
        drop = self._drop | (options - FRAMING - _FOR_EVERY_RECIPIENT)
        if lengthless:
            drop |= {b"content-length"}
        if tokens:
            drop |= _CACHE_DIRECTIVES
        foreign = _CORS if self._own_cors else _NO_NAME
        cached = _CACHE_CONTROL if tokens else _NO_NAME
        return bytes(
            not (read in drop or read.startswith(foreign) or name.lower().endswith(cached))
            for name, read in zip(names, map(spelled, names), strict=True)
        )


def token_fields(crossing: Crossing) -> Headers:
    """The new tokens and what keeps them out of shared caches (X2)."""
    fields = [(b"vary", crossing.vary)] if crossing.vary else []
    if crossing.tokens:
        fields += [(b"cache-control", b"no-store"), *crossing.tokens]
    return fields


def is_preflight(method: str, headers: Iterable[Header]) -> bool:
    """A CORS preflight (Fetch §4.8): OPTIONS with ``Origin`` and ``Access-Control-Request-Method``."""
    if method != "OPTIONS":
        return False
    names = {n for n, _ in headers}
    return b"origin" in names and b"access-control-request-method" in names
