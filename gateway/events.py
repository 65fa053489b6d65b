"""What happened, as values: the log line (and later the metric and the trace) is made from these.

No event holds a token, a secret or an address of an upstream.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.core.websocket import SWITCHING_PROTOCOLS

_OURS = Path(__file__).parent


@dataclass(slots=True, kw_only=True)
class RequestEnded:
    """One request of a client's has been answered, or has lost its client.

    Nobody changes it. It is not frozen because that doubles what it costs to make one: 3.0 against 1.5 µs.
    """

    request_id: str
    method: str
    path: str
    """As sent, without the query."""
    route: str
    status: int
    """0: the client left before an answer began."""
    decision: str
    """The name of the state that decided: forward, pass, alongside, refresh, refuse."""
    code: str | None = None
    reason: str | None = None
    detail: str | None = None
    """What a client was told where it was refused; quotes nothing of its request."""
    refreshed: str | None = None
    """The value of ``X-Token-Refreshed``."""
    client: str = ""
    """Its address, as far as it can be believed."""
    duration: float = 0.0
    """Seconds."""
    cut_by: str | None = None
    """The answer was not completed, by whose fault: ``client``, ``upstream``, or ``gateway`` (shutdown, expiry)."""
    closed_by: str | None = None
    """A WebSocket's: who ended it, ``client``, ``upstream`` or ``gateway``."""
    close_code: int | None = None
    """A WebSocket's: RFC 6455 §7.4; 1005: none was given, 1006: that side vanished."""
    express: bool = False
    """It went through the express lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshEnded:
    """One presentation of a refresh token to the authorization server has ended."""

    outcome: str
    """granted, denied, throttled, misconfigured, unavailable"""
    reason: str | None = None
    """What the server said, or ``answer_lost`` for a denial that followed an ambiguous end (CONTRACT §4.5)."""
    duration: float = 0.0
    """Seconds."""
    ambiguous: bool = False
    """The server may have rotated although no answer could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something that an operator should know."""

    what: str
    detail: str = ""
    alarm: bool = False
    """Somebody has to act."""
    where: str = ""
    """File and line of our own code."""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The store did not do one thing that it was asked for. Counted, and told at ``debug``: that the store is away,
    or back, is a ``Noticed`` of its own.
    """

    operation: str
    reason: str
    """``timeout``, or the class of the error."""


class Repeated:
    """What happens thousands of times a second is told once, and then once for each ``every`` seconds (B27)."""

    def __init__(self, what: str, detail: str, *, every: float = 10.0) -> None:
        self._what = what
        self._detail = detail
        self._every = every
        self._silent_until = float("-inf")
        self._untold = 0

    def happened(self, now: float) -> Noticed | None:
        """Once more, at ``now`` (monotonic seconds): what to tell of it, and of the times that were not told."""
        self._untold += 1
        if now < self._silent_until:
            return None
        self._silent_until = now + self._every
        times, self._untold = self._untold, 0
        return Noticed(what=self._what, detail=self._detail if times == 1 else f"{self._detail} ({times} times)")


Event = RequestEnded | RefreshEnded | Noticed | StoreFailed
Emit = Callable[[Event], None]


def is_plain(*, status: int, code: str | None, refreshed: str | None, cut_by: str | None) -> bool:
    """A request that no operator asks for: neither refused, refreshed, a WebSocket, nor broken off by our side.

    The arguments are ``RequestEnded``'s. A plain one is told at ``debug``, every other at ``info`` or above.
    """
    by_client = cut_by is None or cut_by == "client"
    return code is None and refreshed is None and by_client and status != SWITCHING_PROTOCOLS


class Counts(Protocol):
    """What ``Events`` needs of ``gateway.tally``."""

    def request(self, route: str, decision: str, status: int, seconds: float, express: bool) -> None:  # noqa: FBT001
        """A request has ended."""

    def refresh(self, outcome: str, seconds: float) -> None:
        """A presentation of a refresh token has ended."""

    def notice(self, what: str) -> None:
        """Something was told to the operator."""

    def store_error(self, operation: str, reason: str) -> None:
        """The store did not do what it was asked for."""


class Events:
    """Where the events of one gateway go: each is counted, and told to the log."""

    __slots__ = ("_counts", "_tell", "passed", "verbose")

    def __init__(self, tell: Emit, counts: Counts, *, verbose: bool) -> None:
        """Args: verbose: a line is due for every request, plain ones too (``log.level`` is ``debug``)."""
        self._tell = tell
        self._counts = counts
        self.verbose = verbose
        self.passed = counts.request
        """``passed(route, decision, status, seconds, express)``: in place of an event, for a request that
        ``is_plain`` while not ``verbose``: nobody would read a line of it."""

    def __call__(self, event: Event) -> None:
        """Count it, then tell it."""
        match event:
            case RequestEnded():
                self.passed(event.route, event.decision, event.status, event.duration, event.express)
            case RefreshEnded():
                self._counts.refresh(event.outcome, event.duration)
            case Noticed():
                self._counts.notice(event.what)
            case StoreFailed():
                self._counts.store_error(event.operation, event.reason)
        self._tell(event)


def fault(what: str, error: BaseException, request_id: str = "") -> Noticed:
    """An exception that nobody expected: its class and its place. Its text and its frames may hold tokens (X9)."""
    return Noticed(what=what, detail=type(error).__name__, alarm=True, where=place(error), request_id=request_id)


def place(error: BaseException) -> str:
    """The innermost frame of ours that ``error`` came through, as ``edge/line.py:97``; empty: none."""
    frames = [
        (_within(Path(frame.f_code.co_filename)), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    ours = [f"{path}:{line}" for path, line in frames if path is not None]
    return ours[-1] if ours else ""


def _within(path: Path) -> Path | None:
    """The file as our source tree has it, if it is ours. Compiled code knows it by that name, below ``gateway``."""
    base = _OURS if path.is_absolute() else Path(_OURS.name)
    return path.relative_to(base) if path.is_relative_to(base) else None
