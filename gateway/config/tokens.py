"""What an access token must be, ``[access_token]``, and when it is refreshed, ``[refresh]``."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.config.auth_server import TimeUnit
from gateway.config.problems import bad
from gateway.config.scalars import (
    Boolean,
    Count,
    Name,
    Names,
    Rate,
    Section,
    between,
    default,
    listed,
    one_of,
    whole,
)
from gateway.config.secrets import KeyValue
from gateway.config.units import Duration, Leeway, Size
from gateway.core.policy import OnExpired as Expired
from gateway.core.policy import OnOpenStream as OpenStream
from gateway.core.policy import OnUpstream401 as Upstream401

FAMILIES = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
    "oct": ("HS256", "HS384", "HS512"),
}
"""Algorithms by the type of their keys (RFC 7518 §3.1, §6.1; RFC 8037)."""
_ALL = tuple(name for family in FAMILIES.values() for name in family)
_UNSIGNED = dict.fromkeys(("none", "None", "NONE"), "a token without a signature proves nothing")


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise bad("is empty or names something twice", 'write each once, such as ["RS256"]')
    return names


def _one_kind(names: tuple[str, ...]) -> tuple[str, ...]:
    symmetric = [name for name in names if name in FAMILIES["oct"]]
    if symmetric and len(symmetric) < len(names):
        raise bad(
            "mixes HS* with public-key algorithms: a public key could be used as the shared secret",
            "keep the algorithms of one kind",
        )
    return names


def _with_expiry(names: tuple[str, ...]) -> tuple[str, ...]:
    if "exp" not in names:
        raise bad("lacks exp: a token that never ends cannot be refreshed", 'add "exp"')
    return names


def _claims(known: dict[str, Any]) -> tuple[str, ...]:
    configured = [("iss", known.get("issuer")), ("aud", known.get("audience"))]
    return ("exp", known.get("subject_claim", "sub"), *(name for name, value in configured if value))


Algorithm = Annotated[str, one_of(*_ALL, never=_UNSIGNED), WithJsonSchema({"enum": list(_ALL)})]
Algorithms = Annotated[
    tuple[Algorithm, ...], AfterValidator(_distinct), AfterValidator(_one_kind), listed('["RS256"]')
]
Required = Annotated[tuple[Name, ...], AfterValidator(_with_expiry), listed('["exp"]')]
OnExpired = Annotated[Expired, one_of(*Expired), WithJsonSchema({"enum": [*Expired]})]
OnOpenStream = Annotated[OpenStream, one_of(*OpenStream), WithJsonSchema({"enum": [*OpenStream]})]
OnUpstream401 = Annotated[Upstream401, one_of(*Upstream401), WithJsonSchema({"enum": [*Upstream401]})]


class AccessToken(Section):
    """What an access token must be to be accepted."""

    format: Annotated[Literal["jwt"], one_of("jwt", later=("opaque",))] = default("jwt")
    """Only `jwt`. Opaque tokens are not built yet."""
    algorithms: Algorithms = default(["RS256"])
    """The accepted signature algorithms, whatever a token's header says. HS* only by themselves."""
    issuer: Name | None = None
    """The `iss` that tokens must have, byte for byte. Absent: unchecked, with a warning."""
    audience: Names = default([])
    """Tokens must be meant for one of these (`aud`). Absent: unchecked, with a warning."""
    key: KeyValue | None = None
    """A static key in place of `jwks_uri`: `{ file = "path" }` or `{ env = "NAME" }`. The shared secret for HS*,
    at least as long as the hash; a PEM public key otherwise."""
    leeway: Leeway = default("5s")
    """How far clocks may differ."""
    typ: Annotated[Literal["at+jwt"], one_of("at+jwt")] | None = None
    """The `typ` that tokens must have (RFC 9068). Absent: unchecked."""
    subject_claim: Name = default("sub")
    """The claim that names the user; new tokens must name the same."""
    required: Required = Field(default_factory=_claims)
    """The claims that tokens must have; `exp` among them. Default: `exp`, the subject claim, and `iss` and `aud`
    where issuer and audience are set."""
    time_unit: TimeUnit = default("s")
    """The unit of `exp`, `iat` and `nbf`. `ms` for libraries that count milliseconds."""
    zip: Boolean = default(False)
    """Accept payloads compressed with GZIP or DEFLATE, as some Java libraries make them."""
    sender_bound: Annotated[Literal["refuse", "pass"], one_of("refuse", "pass")] = default("refuse")
    """Tokens bound to a client's key (`cnf`, DPoP), which no gateway can refresh: refuse them, or pass them on."""


class Refresh(Section):
    """When tokens are refreshed, and how long what came of it is kept."""

    ahead: Duration = default("60s")
    """This long before its end a token is refreshed beside the request; at most half its lifetime. `0s`: never."""
    ahead_wait: Duration = default("1s")
    """How much longer than the upstream an answer may wait for such a refresh."""
    hard: Duration = default("5s")
    """This long before its end a token is refreshed before the request; at most a quarter of its lifetime."""
    grace: Duration = default("30s")
    """How long an old pair still works once its successor was presented, for parallel requests."""
    unclaimed: Duration = default("24h")
    """How long new tokens wait for a client that has not presented them yet."""
    negative: Duration = default("30s")
    """How long a rejected refresh token is remembered and not asked about again."""
    min_interval: Duration = default("30s")
    """A token that the gateway got less than this ago, and that the API refuses, is not refreshed again."""
    max_expired_age: Duration = default("30d")
    """A token expired for longer is refused, refresh token or not."""
    allow_refresh_alone: Boolean = default(False)
    """Accept a refresh token without an access token. Whoever finds a refresh token can then use it."""
    on_expired: OnExpired = default("refresh")
    """`refresh`; `signal`: answer `signal_status`, for clients that refresh themselves; `reject`: answer 401."""
    signal_status: Annotated[int, whole(400, 599), between(400, 599)] = default(511)
    """The status of the answer to an expired token with `on_expired = "signal"`."""
    on_upstream_401: OnUpstream401 = default("invalid_token")
    """Which 401 of the API causes a refresh and a replay: one that says `invalid_token`, `any`, or `never`."""
    on_open_stream: OnOpenStream = default("keep")
    """What becomes of an open WebSocket or event stream (`text/event-stream`) when the access token it was opened
    with expires. `keep`: it goes on; `close`: both sides of a WebSocket get Close 4401, an event stream is cut."""
    replay_body: Size = default("1MiB")
    """The largest request body that is kept for a replay."""
    unknown_burst: Count = default(100)
    """Refresh tokens never seen good that one client address (IPv6: one /64) may have denied, or asked about at
    once. Further ones wait, and are answered 429 once the denied ones have used it up."""
    unknown_per_second: Rate = default(10)
    """How many denied ones are forgiven each second."""
