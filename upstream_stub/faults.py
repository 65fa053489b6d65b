"""Faults on demand: which kinds there are, and which endpoint shows one next."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDPOINTS = ("token", "jwks", "metadata", "revoke", "introspect", "login", "access_refresh", "refresh")


@dataclass(frozen=True)
class Twist:
    """A grant that is processed and answered, but differs from what was asked for."""

    claims: Mapping[str, Any] = field(default_factory=dict)
    """Claims of the access token to change; None leaves one out."""
    response: Mapping[str, Any] = field(default_factory=dict)
    """Members of the token response to change; None leaves one out."""
    lifetime: float | None = None
    """Seconds, of the access token."""
    keep_refresh_token: bool = False
    """Do not rotate, and return no refresh token."""


PLAIN = Twist()


@dataclass(frozen=True)
class _Kind:
    options: Mapping[str, Any] = field(default_factory=dict)
    processed: bool = False


KINDS: dict[str, _Kind] = {
    # No answer. Processed or not, the client cannot know.
    "down": _Kind({"reset": False}),
    "lost": _Kind({"reset": False}, processed=True),
    "hang": _Kind(),
    # The right answer, late.
    "slow": _Kind({"delay": 1.0}, processed=True),
    "hold": _Kind(processed=True),
    "drip": _Kind({"interval": 1.0}),
    # Another answer.
    "status": _Kind({"status": 500, "body": "the server is not well"}),
    "html": _Kind({"status": 200}),
    "garbage": _Kind({"status": 200}),
    "empty": _Kind({"status": 200}),
    "json": _Kind({"status": 200, "value": None}),
    "list": _Kind({"status": 200, "value": []}),
    "no_keys": _Kind({"status": 200, "value": {"keys": []}}),
    "throttle": _Kind({"retry_after": 1}),
    "redirect": _Kind({"to": "http://127.0.0.1:9/", "status": 302}),
    "huge": _Kind({"size": 1 << 30}),
    "error": _Kind({"error": "invalid_grant", "status": 400, "description": "a fault on demand"}),
}
"""What is not the server's normal answer, with the options each takes.

``processed`` (an option of every one) says whether the request takes effect, so that a 502 of a proxy in front
can hide a rotation that happened: ``fault("status", status=502, processed=True)``. ``hold`` waits until
``Fault.release()``; ``slow`` takes effect at once and answers ``delay`` seconds later.
"""

TWISTS: dict[str, dict[str, Any]] = {
    "wrong_subject": {"claims": {"sub": "mallory"}},
    "wrong_audience": {"claims": {"aud": "another-api"}},
    "wrong_issuer": {"claims": {"iss": "https://another-issuer.example"}},
    "expired_grant": {"lifetime": -60},
    "no_refresh_token": {"keep_refresh_token": True},
    "no_access_token": {"response": {"access_token": None}},
    "bad_id_token": {"response": {"id_token": "not.an.id-token"}},
    "answer": {},
}
"""Grants of another kind. Each takes the fields of ``Twist`` as options."""


@dataclass(eq=False)
class Fault:
    """One fault of one endpoint."""

    kind: str
    endpoint: str
    times: int | None
    """How many requests it still meets; None: all, until cleared."""
    options: dict[str, Any]
    processed: bool = False
    """Whether the request takes effect."""
    twist: Twist | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first request has met it; with ``processed``, after it took effect."""
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let the requests that ``hold`` keeps be answered."""
        self._released.set()

    async def released(self) -> None:
        """Wait for ``release``."""
        await self._released.wait()


def make(kind: str, times: int | None, endpoint: str, options: Mapping[str, Any]) -> Fault:
    """A fault.

    Raises:
        ValueError: no such kind, endpoint or option.
    """
    if endpoint not in ENDPOINTS:
        raise ValueError(f"no endpoint {endpoint!r}; there are {', '.join(ENDPOINTS)}")
    if kind in TWISTS:
        try:
            return Fault(kind, endpoint, times, {}, processed=True, twist=Twist(**(TWISTS[kind] | dict(options))))
        except TypeError:
            raise ValueError(f"{kind} takes the fields of Twist") from None
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are {', '.join([*KINDS, *TWISTS])}")
    known = KINDS[kind]
    chosen = {"processed": known.processed, **known.options, **options}
    if strange := chosen.keys() - known.options.keys() - {"processed"}:
        raise ValueError(f"{kind} takes no {', '.join(sorted(strange))}")
    return Fault(kind, endpoint, times, chosen, processed=bool(chosen.pop("processed")))


class FaultBoard:
    """The faults that are to come, in the order in which they were asked for, for each endpoint."""

    def __init__(self) -> None:
        self._coming: dict[str, list[Fault]] = defaultdict(list)

    def add(self, fault: Fault) -> None:
        """Let ``fault`` follow those before it."""
        self._coming[fault.endpoint].append(fault)

    def take(self, endpoint: str) -> Fault | None:
        """The fault that this request meets."""
        coming = self._coming[endpoint]
        if not coming:
            return None
        fault = coming[0]
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                coming.pop(0)
        return fault

    def clear(self, endpoint: str | None = None) -> None:
        """Forget the faults to come, and release those that are held."""
        for name in [endpoint] if endpoint else list(self._coming):
            for fault in self._coming.pop(name, []):
                fault.release()

    def coming(self) -> list[str]:
        """What is to come, as ``endpoint: kind``."""
        return [f"{name}: {fault.kind}" for name, faults in self._coming.items() for fault in faults]
