"""The token response in (RFC 6749 §5), classed by CONTRACT §4.6. Pure: bytes in, a value out.

Classed by the ``error`` member first, whatever the status (some servers send it with 200 or 403), then by the
status. Only ``invalid_grant`` (or a ``denied`` value of the operator's) says that the refresh token is dead;
every other answer leaves it alive, because a wrong guess would log a user out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, assert_never

from gateway.core import strict_json
from gateway.core.headers import Header, values
from gateway.core.secret import Secret
from gateway.core.strict_json import MISSING
from gateway.core.token_requests import Accepted, CustomSpec, RefreshSpec, TimeUnit

MAX_RETRY_AFTER: Final = 60.0
DEFAULT_RETRY_AFTER: Final = 5.0
"""Seconds, where a 429 does not say or says it illegibly."""

MAX_LIFETIME: Final = 10 * 366 * 86400
"""Seconds. A longer ``expires_in`` is a mistake, commonly milliseconds or a point in time."""

LATEST: Final = 1e11
"""Unix seconds: the year 5138."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
_SCOPE = re.compile(r"[\x20-\x7e]{0,4096}")
_ERROR_NAME = re.compile(r"[a-z][a-z_]{0,39}")
_MISCONFIGURED: Final = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_request"}
)
_TRANSIENT: Final = frozenset({"server_error", "temporarily_unavailable"})
_SENDER_CONSTRAINED: Final = frozenset({"dpop", "pop", "mac"})


@dataclass(frozen=True, slots=True)
class Grant:
    """The server granted a new access token."""

    access_token: Secret
    refresh_token: Secret | None = None
    """None: the server keeps the old one (RFC 6749 §6)."""
    expires_in: float | None = None
    """Seconds from the answer, where the server said so."""
    expires_at: float | None = None
    """Unix seconds, where the server said so."""
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """``invalid_grant``: the refresh token is dead."""

    error: str = "invalid_grant"
    answer_lost: bool = False
    """An earlier presentation in the same flight ended ambiguously: the server may have rotated then."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: the server asks for patience."""

    retry_after: float
    """Seconds, between 1 and 60."""
    answer_lost: bool = False
    """As in ``Denied``."""


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The server refused us, not the user: ``invalid_client`` and its like. The token may live."""

    error: str
    answer_lost: bool = False
    """As in ``Denied``."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No token was had. The refresh token may live."""

    reason: str
    """For logs: quotes neither token nor body."""
    ambiguous: bool
    """Bytes were sent and no OAuth answer could be read: the server may have rotated (CONTRACT §4.5)."""
    client_error: bool = False
    """The status was 4xx, so the answer is about this request and says nothing of the server's health. (A firewall
    that dislikes a token must not open the breaker for everybody.)"""
    exhausted: bool = False
    """We had no descriptor or port to connect with (B27): that says nothing of the server either."""


Answer = Grant | Denied | Throttled | Misconfigured | Unavailable


def answer_lost(answer: Answer) -> bool:
    """The server may have rotated, and we have no grant of it (CONTRACT §4.5)."""
    match answer:
        case Grant():
            return False
        case Unavailable(ambiguous=ambiguous):
            return ambiguous
        case Denied(answer_lost=lost) | Throttled(answer_lost=lost) | Misconfigured(answer_lost=lost):
            return lost
        case _:
            assert_never(answer)


def read_answer(spec: RefreshSpec, status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
    """What the answer to a refresh request means. Never raises, whatever the bytes.

    The content type is not asked: a body that parses is JSON, and a rotated token is too dear to drop over a
    label. ``now`` is in Unix seconds, for a ``Retry-After`` that is a date.
    """
    try:
        document = strict_json.parse(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return _by_status(status, headers, now, is_json=False)
    if isinstance(spec, CustomSpec):
        return _read_custom(spec, status, document) or _by_status(status, headers, now, is_json=False)
    if not isinstance(document, dict):
        return _by_status(status, headers, now, is_json=True)
    error = document.get("error")
    if isinstance(error, str) and error:
        return _by_error(error, status, headers, now)
    if status != 200:  # noqa: PLR2004  # RFC 6749 §5.1
        return _by_status(status, headers, now, is_json=True)
    return _read_standard(document)


def retry_after(headers: Sequence[Header], now: float) -> float:
    """``Retry-After`` (RFC 9110 §10.2.3) as seconds between 1 and 60."""
    sent = values(headers, b"retry-after")
    text = sent[0].decode("latin-1").strip() if sent else ""
    if re.fullmatch(r"[0-9]{1,12}", text):
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            seconds = DEFAULT_RETRY_AFTER
    return min(max(seconds, 1.0), MAX_RETRY_AFTER)


def _by_error(error: str, status: int, headers: Sequence[Header], now: float) -> Answer:
    """RFC 6749 §5.2. An ``error`` is an answer: nothing about it is ambiguous."""
    if error == "invalid_grant":
        return Denied()
    name = error if _ERROR_NAME.fullmatch(error) else "unnamed_error"
    if error in _MISCONFIGURED:
        return Misconfigured(name)
    if status == 429:  # noqa: PLR2004
        return Throttled(retry_after(headers, now))
    if error in _TRANSIENT or status >= 500:  # noqa: PLR2004
        return Unavailable(name, ambiguous=False, client_error=400 <= status < 500)  # noqa: PLR2004
    return Misconfigured(name)


def _by_status(status: int, headers: Sequence[Header], now: float, *, is_json: bool) -> Answer:
    if status == 429:  # noqa: PLR2004
        return Throttled(retry_after(headers, now))
    client_error = 400 <= status < 500  # noqa: PLR2004
    if is_json and client_error:
        return Misconfigured(f"http_{status}")
    return Unavailable(f"no usable answer with status {status}", ambiguous=True, client_error=client_error)


def _read_standard(document: dict[str, object]) -> Answer:
    """RFC 6749 §5.1. An ``id_token`` is not looked at, so a broken one discards nothing (R3)."""
    kind = document.get("token_type")
    if not isinstance(kind, str):
        return _unreadable("token_type is missing")
    if kind.lower() in _SENDER_CONSTRAINED:
        return Misconfigured("sender_constrained_token_type")
    if kind.lower() != "bearer":
        return _unreadable("token_type is not Bearer")
    scope = document.get("scope")
    return _grant(
        document.get("access_token"),
        document.get("refresh_token"),
        _seconds(document.get("expires_in"), "s", MAX_LIFETIME),
        None,
        scope if isinstance(scope, str) and _SCOPE.fullmatch(scope) else None,
    )


def _read_custom(spec: CustomSpec, status: int, document: object) -> Answer | None:
    """The operator's reading, or None where neither ``denied`` nor ``ok`` knows this answer."""

    def at(pointer: str | None) -> object:
        found = MISSING if pointer is None else strict_json.resolve(document, pointer)
        return None if found is MISSING else found

    if any(_accepts(document, pointer, accepted) for pointer, accepted in spec.denied.items()):
        return Denied("denied")
    if not _is_ok(spec.ok, status, document):
        return None
    return _grant(
        at(spec.access_token),
        at(spec.refresh_token),
        _seconds(at(spec.expires_in), spec.expires_in_unit, MAX_LIFETIME),
        _seconds(at(spec.expires_at), spec.expires_at_unit, LATEST),
        None,
    )


def _is_ok(ok: Accepted, status: int, document: object) -> bool:
    if not ok:
        return 200 <= status < 300  # noqa: PLR2004
    return all(_accepts(document, pointer, accepted) for pointer, accepted in ok.items())


def _accepts(document: object, pointer: str, accepted: Sequence[object]) -> bool:
    found = strict_json.resolve(document, pointer)
    return any(type(found) is type(value) and found == value for value in accepted)


def _grant(
    access: object, refresh: object, expires_in: float | None, expires_at: float | None, scope: str | None
) -> Grant | Unavailable:
    if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        return _unreadable("access_token is missing or malformed")
    if refresh is not None and not isinstance(refresh, str):
        return _unreadable("refresh_token is malformed")
    if refresh and not _TOKEN.fullmatch(refresh):
        return _unreadable("refresh_token is malformed")
    if any(span is not None and span < 0 for span in (expires_in, expires_at)):
        return _unreadable("the expiry is absurd")
    successor = Secret(refresh) if refresh else None
    return Grant(Secret(access), successor, expires_in, expires_at, scope)


def _seconds(value: object, unit: TimeUnit, most: float) -> float | None:
    """None where nothing was said; negative where it is absurd. Real servers send ``"3600"`` as text."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return -1.0
    scale = 1000 if unit == "ms" else 1
    return value / scale if 0 <= value <= most * scale else -1.0


def _unreadable(reason: str) -> Unavailable:
    return Unavailable(reason, ambiguous=True)
