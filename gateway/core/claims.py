"""The claims of an access token whose signature has been verified (RFC 7519 §4, RFC 9068 §4).

Expiry, ``nbf`` against the clock, and the audience of a route depend on the request: ``tokens`` judges them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from gateway.core.tokens import Rejected, Verified

LATEST: Final = 1e11
"""Seconds: the year 5138. A later ``exp`` is in milliseconds or absurd (T10)."""

ALL_REQUIRED: Final = frozenset({"exp", "iss", "sub", "aud"})
"""RFC 9068 §2.2 requires these of an access token (and ``client_id``, ``iat``, ``jti``: unused here)."""


@dataclass(frozen=True, slots=True)
class ClaimsPolicy:
    """What the claims must say."""

    issuer: str | None = None
    """Compared byte for byte (T9). None: unchecked."""
    required: frozenset[str] = ALL_REQUIRED
    """Names of claims that must be there. ``exp`` always must."""
    typ: str | None = None
    """The media type that the ``typ`` header must name, such as ``at+jwt`` (T8). None: unchecked."""
    subject_claim: str = "sub"
    """Names the user. Text, or a whole number that becomes text."""
    time_unit: Literal["s", "ms"] = "s"
    """Of ``exp``, ``iat`` and ``nbf`` in the token. RFC 7519 §2 says seconds; some libraries do not."""


def judge_header(header: Mapping[str, object], policy: ClaimsPolicy) -> Rejected | None:
    """What the protected header alone forbids. Costs no signature check, so it may come first.

    ``crit`` names extensions that the recipient must understand (RFC 7515 §4.1.11); we understand none (T6).
    """
    if "crit" in header or header.get("b64", True) is not True:
        return Rejected("the token demands an extension that is not understood here")
    if policy.typ is not None and _media_type(header.get("typ")) != _media_type(policy.typ):
        return Rejected("the token's typ is not that of an access token")
    return None


def judge_claims(
    payload: Mapping[str, object],
    header: Mapping[str, object],
    policy: ClaimsPolicy,
    *,
    key_retired: bool = False,
) -> Verified | Rejected:
    """The facts in verified claims, or the first reason other than expiry to refuse them."""
    refusal = judge_header(header, policy) or _judge_presence(payload, policy)
    if refusal is not None:
        return refusal
    issuer, audience = payload.get("iss"), _audience(payload.get("aud", []))
    if audience is None:
        return Rejected("aud is neither text nor a list of texts")
    if not isinstance(issuer, str | None) or (policy.issuer is not None and issuer != policy.issuer):
        return Rejected("iss is not the configured issuer")
    times = [_time(payload.get(name), policy.time_unit) for name in ("exp", "iat", "nbf")]
    expires_at, issued_at, not_before = times
    if expires_at is None or any(t is not None and t < 0 for t in times):
        return Rejected("exp, iat or nbf is no sensible number (time_unit may differ)")
    subject = _subject(payload.get(policy.subject_claim))
    if isinstance(subject, Rejected):
        return subject
    return Verified(
        issuer=issuer,
        subject=subject,
        audience=audience,
        expires_at=expires_at,
        issued_at=issued_at,
        not_before=not_before,
        claims=MappingProxyType(dict(payload)),
        key_retired=key_retired,
        sender_bound=payload.get("cnf") is not None,
    )


def _judge_presence(payload: Mapping[str, object], policy: ClaimsPolicy) -> Rejected | None:
    if payload.get("exp") is None or any(payload.get(name) is None for name in policy.required):
        return Rejected("a required claim is missing")
    return None


def _media_type(typ: object) -> str | None:
    """RFC 7515 §4.1.9: ``application/`` may be left out; media types ignore case."""
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _audience(aud: object) -> frozenset[str] | None:
    members = [aud] if isinstance(aud, str) else aud
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        return None
    return frozenset(members)


def _time(value: object, unit: Literal["s", "ms"]) -> float | None:
    """Seconds; None where the claim is absent, negative where it is no sensible number.

    With milliseconds anything but zero up to ``LATEST`` is taken for seconds, and refused.
    """
    if value is None:
        return None
    low, high = (0.0, LATEST) if unit == "s" else (LATEST, LATEST * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return -1.0
    if value != 0 and not low < value <= high:
        return -1.0
    return float(value) if unit == "s" else value / 1000


def _subject(value: object) -> str | Rejected | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 128 else Rejected("the subject claim is too large")
    if isinstance(value, str):
        return value or Rejected("the subject claim is empty")
    return None if value is None else Rejected("the subject claim is neither text nor a whole number")
