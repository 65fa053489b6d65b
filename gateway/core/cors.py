"""Who may read an answer in a browser on another origin (Fetch §3.3). CORS is no access control: it refuses nobody.

Without ``[cors]`` the upstream decides, and our names are added where it allows an origin (C3). With it the gateway
decides, by an exact list, and what the upstream says of CORS is dropped (C2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.core.headers import Header, Headers, tokens, values

OURS_TO_READ = (b"WWW-Authenticate", b"Retry-After")
"""Fields of our problems that a script needs and that no browser shows it unasked (Fetch §2.2.2)."""

_PREFLIGHT_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy:
    """What ``[cors]`` allows."""

    origins: frozenset[bytes]
    """As browsers write them: lower case, no default port, no path (RFC 6454 §6.2)."""
    methods: bytes
    """A list field's value, as are ``headers`` and ``expose``."""
    headers: bytes
    expose: bytes
    credentials: bool
    max_age: int
    """Seconds."""

    def for_preflight(self, headers: Iterable[Header]) -> Headers:
        """The fields of the answer to a preflight.

        What is allowed is said whatever was asked: the browser compares. ``Access-Control-Request-Private-Network``
        is never answered: no public page gets into the network behind the gateway.
        """
        vary = (b"vary", _PREFLIGHT_VARY)
        allowed = self._allowed(origin_of(headers))
        if not allowed:
            return [vary]
        return [
            *allowed,
            (b"access-control-allow-methods", self.methods),
            (b"access-control-allow-headers", self.headers),
            (b"access-control-max-age", b"%d" % self.max_age),
            vary,
        ]

    def for_answer(self, origin: bytes | None, answer: Iterable[Header]) -> Headers:
        """The fields to add to ``answer``, which has none of its own.

        Every answer varies by origin, also where none was sent: a cache must not give it to a page that sends one.
        """
        fields = self._allowed(origin)
        if fields:
            fields.append((b"access-control-expose-headers", self.expose))
        if {b"origin", b"*"}.isdisjoint(tokens(answer, b"vary")):
            fields.append((b"vary", b"Origin"))
        return fields

    def _allowed(self, origin: bytes | None) -> Headers:
        if origin is None or origin not in self.origins:
            return []
        fields = [(b"access-control-allow-origin", origin)]
        return [*fields, (b"access-control-allow-credentials", b"true")] if self.credentials else fields


def listing(*groups: Sequence[bytes]) -> bytes:
    """A list field's value with each name once, whatever its case, spelled as where it stands first."""
    seen: dict[bytes, bytes] = {}
    for group in groups:
        for name in group:
            seen.setdefault(name.lower(), name)
    return b", ".join(seen.values())


def origin_of(headers: Iterable[Header]) -> bytes | None:
    """The request's ``Origin``, if it has exactly one."""
    found = values(headers, b"origin")
    return found[0] if len(found) == 1 else None


def allows_origin(answer: Iterable[Header], origin: bytes) -> bool:
    """The upstream's CORS answer names exactly this origin; ``*`` does not (CONTRACT §2)."""
    return values(answer, b"access-control-allow-origin") == [origin]


def without_requested(headers: Headers, name: bytes) -> Headers:
    """A preflight that does not ask the upstream for a field that only the gateway reads (C3)."""
    kept: Headers = []
    for field, value in headers:
        if field != b"access-control-request-headers":
            kept.append((field, value))
            continue
        members = [m.strip() for m in value.split(b",")]
        rest = [m for m in members if m.lower() != name]
        if len(rest) == len(members):
            kept.append((field, value))
        elif any(rest):
            kept.append((field, b",".join(rest)))
    return kept
