"""Tokens at any point of their lives, without cryptography."""

from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Age, Obtained, Schedule, Verified

NOW = 1_800_000_000.0
API = frozenset({"api"})

SCHEDULE = Schedule(
    starts_at=NOW - 1000, ahead_at=NOW - 100, hard_at=NOW - 10, ends_at=NOW, forgotten_at=NOW + 1000
)
"""A life of fixed moments; ``AT`` says when it has which age."""

AT = {
    Age.EARLY: NOW - 2000,
    Age.FRESH: NOW - 500,
    Age.AHEAD: NOW - 50,
    Age.HARD: NOW - 5,
    Age.EXPIRED: NOW + 500,
    Age.FORGOTTEN: NOW + 2000,
}


def verified(subject="ada", *, ends=NOW + 3600, issued=None, not_before=None, issuer="https://as", **more):
    facts = {"audience": API, "claims": {}} | more
    return Verified(
        issuer=issuer, subject=subject, expires_at=ends, issued_at=issued, not_before=not_before, **facts
    )


def access_token(raw="at", *, schedule=SCHEDULE, obtained=None, **facts):
    """A token with ``SCHEDULE``, whatever its claims say."""
    return AccessToken(Secret(raw), verified(**facts), schedule, obtained)


def living(raw="new", *, since=NOW, spans=3600.0, obtained_at=None, **facts):
    """A token that is fresh at ``since`` and for ``spans`` seconds."""
    ends = since + spans
    schedule = Schedule(since - 1, ends, ends, ends, ends + 1000)
    obtained = None if obtained_at is None else Obtained(obtained_at, spans)
    return AccessToken(Secret(raw), verified(ends=ends, **facts), schedule, obtained)
