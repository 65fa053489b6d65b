"""The states of one request and what follows each (CONTRACT §3). No I/O, no clock.

    Arrived   -> Pass | Forward | Alongside | Refresh | Refuse
    Forward   -> Relay | Refresh
    Alongside -> Settle | Refresh
    Settle    -> Relay | Refuse
    Refresh   -> Forward | Relay | Refuse
    Pass, Relay and Refuse are ends.

Rules, proven as properties in tests/core/test_lifecycle_walks.py:
- at most one refresh and at most two sends;
- neither an expired nor an unverified token is ever forwarded;
- whatever happens to a refresh, a token that is still valid is not refused, but for two users' tokens in one
  request;
- every path ends.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from gateway.core import errors
from gateway.core.errors import Problem
from gateway.core.outcomes import Cause, Dead, Failed, Mismatched, Outcome, Renewed
from gateway.core.policy import Auth, OnExpired, OnUpstream401, Policy
from gateway.core.tokens import AccessToken, Age, KeysUnavailable, Rejected


class Absent(Enum):
    """There is no access token of ours to judge."""

    MISSING = "missing"
    FOREIGN = "foreign"
    """The field holds a scheme that is not ours."""
    AMBIGUOUS = "ambiguous"
    """More than one access token, or more than one refresh token (T17)."""


ALWAYS = (-math.inf, math.inf)
NEVER = (math.inf, -math.inf)

Presented = AccessToken | Rejected | KeysUnavailable | Absent


# Ends


@dataclass(frozen=True, slots=True)
class Pass:
    """Forward as it is: the gateway has nothing to do with this request's credentials."""


@dataclass(frozen=True, slots=True)
class Relay:
    """The upstream's answer is the answer."""


_RELAY = Relay()
"""To make one for each request is work too."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """An answer of the gateway's own."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What of an upstream's response decides."""

    status: int
    invalid_token: bool
    """``WWW-Authenticate`` says ``error="invalid_token"`` (RFC 6750 §3.1)."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request with ``token``."""

    policy: Policy
    token: AccessToken
    has_refresh_token: bool
    may_refresh: bool = True

    def next(self, answer: UpstreamAnswer, now: float, *, replayable: bool) -> "Relay | Refresh":
        """The API has answered."""
        if not self.may_refresh or not _refused(self, answer, now):
            return _RELAY
        return Refresh(self.policy, self.token, Cause.REJECTED, replayable=replayable)


@dataclass(frozen=True, slots=True)
class Alongside:
    """Send the request with ``token`` while a refresh is under way."""

    policy: Policy
    token: AccessToken
    has_refresh_token: bool = True

    def next(self, answer: UpstreamAnswer, now: float, *, replayable: bool) -> "Settle | Refresh":
        """The API has answered; where it refused the token, the refresh under way decides."""
        if not _refused(self, answer, now):
            return Settle()
        return Refresh(self.policy, self.token, Cause.REJECTED, replayable=replayable)


@dataclass(frozen=True, slots=True)
class Settle:
    """The API's answer is here; wait a moment for the refresh alongside (R23)."""

    def next(self, outcome: Outcome) -> "Relay | Refuse":
        """Neither a denial nor an outage matters to an answer that is here already."""
        return Refuse(errors.SUBJECT_MISMATCH) if isinstance(outcome, Mismatched) else Relay()


@dataclass(frozen=True, slots=True)
class Refresh:
    """Wait for new tokens. With ``Cause.REJECTED`` an upstream's 401 is at hand, to be relayed or dropped."""

    policy: Policy
    token: AccessToken | None
    cause: Cause
    replayable: bool = True

    def next(self, outcome: Outcome, now: float) -> "Forward | Relay | Refuse":
        """The refresh has ended, or the request's patience has."""
        match outcome:
            case Mismatched():
                return Refuse(errors.SUBJECT_MISMATCH)
            case Renewed(tokens=tokens):
                return self._renewed(tokens.access, now)
            case _:
                return self._without(outcome, now)

    def _renewed(self, new: AccessToken, now: float) -> "Forward | Relay | Refuse":
        if self.cause is Cause.REJECTED and not self.replayable:
            return Relay()
        usable = new.schedule.age(now).valid and not new.verified.key_retired
        if usable and new.meets(self.policy.audience):
            return Forward(self.policy, new, has_refresh_token=True, may_refresh=False)
        problem = errors.AUTH_SERVER_MISCONFIGURED if usable else errors.AUTH_SERVER_UNAVAILABLE
        return self._without(Failed(problem), now)

    def _without(self, outcome: Dead | Failed, now: float) -> "Forward | Relay | Refuse":
        if self.cause is Cause.REJECTED:
            return Relay()
        if self.token is not None and self.token.schedule.age(now).valid:
            return Forward(self.policy, self.token, has_refresh_token=True, may_refresh=False)
        if isinstance(outcome, Failed):
            return Refuse(outcome.problem)
        return Refuse(_rejected(outcome.reason))


def _invalid(reason: str) -> Problem:
    """``reason`` is ours and quotes nothing of the token."""
    return errors.INVALID_TOKEN.because(f"The access token is not accepted here: {reason}. Sign in again.")


def _rejected(reason: str | None) -> Problem:
    if reason is None:
        return errors.REFRESH_REJECTED
    return errors.REFRESH_REJECTED.because(
        "An answer of the authorization server was lost, and it no longer accepts the refresh token. "
        "Sign in again.",
        reason=reason,
    )


def _refused(state: Forward | Alongside, answer: UpstreamAnswer, now: float) -> bool:
    """The API's answer calls for a refresh (CONTRACT §3; R18, R21)."""
    policy, token = state.policy, state.token
    if answer.status != 401 or not state.has_refresh_token or policy.on_expired is not OnExpired.REFRESH:  # noqa: PLR2004
        return False
    if policy.on_upstream_401 is OnUpstream401.NEVER or token.verified.sender_bound:
        return False
    if policy.on_upstream_401 is OnUpstream401.INVALID_TOKEN and not answer.invalid_token:
        return False
    return token.obtained is None or now - token.obtained.at >= policy.min_interval


Decision = Pass | Forward | Alongside | Refresh | Refuse


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request with what was read and verified of its credentials."""

    policy: Policy
    access: Presented
    has_refresh_token: bool

    def next(self, now: float) -> Decision:
        """The decision table of CONTRACT §3: the access token is judged first."""
        if self.policy.auth is Auth.OFF:
            return Pass()
        match self.access:
            case AccessToken() as token:
                return self._presented(token, now)
            case Rejected(reason=reason):
                return Refuse(_invalid(reason))
            case KeysUnavailable():
                return Refuse(errors.AUTH_SERVER_UNAVAILABLE)
            case Absent.FOREIGN:
                return Refuse(_invalid("its scheme is not the one that this gateway accepts"))
            case Absent.AMBIGUOUS:
                return Refuse(errors.AMBIGUOUS_CREDENTIALS)
            case Absent.MISSING:
                return self._missing()
            case _:
                assert_never(self.access)

    def stands(self, now: float) -> tuple[float, float]:
        """From when on, and until when (Unix seconds), ``next`` decides as it does at ``now``.

        Only what may be remembered has such a span: a token in its fresh years, and what no token or clock changes.
        """
        if self.policy.auth is Auth.OFF or isinstance(self.access, Absent):
            return ALWAYS
        if isinstance(self.access, AccessToken):
            schedule = self.access.schedule
            if schedule.age(now) is Age.FRESH:
                return schedule.starts_at, schedule.ahead_at
        return NEVER

    def _missing(self) -> Decision:
        if self.has_refresh_token:
            if self.policy.allow_refresh_alone and self.policy.on_expired is OnExpired.REFRESH:
                return Refresh(self.policy, None, Cause.EXPIRED)
            return Refuse(errors.MISSING_TOKEN)
        return Pass() if self.policy.auth is Auth.OPTIONAL else Refuse(errors.MISSING_TOKEN)

    def _presented(self, token: AccessToken, now: float) -> Decision:
        bound = token.verified.sender_bound
        age = token.schedule.age(now)
        if age is Age.EARLY:
            return Refuse(_invalid("the token is not valid yet"))
        if not token.meets(self.policy.audience):
            return Refuse(_invalid("the token's audience is another"))
        if bound and not self.policy.pass_sender_bound:
            return Refuse(_invalid("the token is bound to a client's key"))
        if age.valid:
            return self._valid(token, age)
        return self._expired(token, age)

    def _valid(self, token: AccessToken, age: Age) -> Decision:
        if token.verified.key_retired:
            return Refuse(_invalid("the token's key is no longer one of the issuer's"))
        if age is Age.FRESH or not self._may_refresh(token):
            return Forward(self.policy, token, self.has_refresh_token)
        if age is Age.AHEAD:
            return Alongside(self.policy, token)
        return Refresh(self.policy, token, Cause.AHEAD)

    def _expired(self, token: AccessToken, age: Age) -> Decision:
        if age is Age.FORGOTTEN:
            return Refuse(errors.EXPIRED_TOKEN)
        if self.policy.on_expired is OnExpired.SIGNAL and not token.verified.sender_bound:
            return Refuse(errors.refresh_required(self.policy.signal_status))
        if self._may_refresh(token):
            return Refresh(self.policy, token, Cause.EXPIRED)
        return Refuse(errors.EXPIRED_TOKEN)

    def _may_refresh(self, token: AccessToken) -> bool:
        return (
            self.has_refresh_token
            and self.policy.on_expired is OnExpired.REFRESH
            and not token.verified.sender_bound
        )
