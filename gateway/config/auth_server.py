"""The authorization server: ``[auth_server]`` and ``[auth_server.refresh]``."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, WithJsonSchema

from gateway.config.addresses import EndpointUrl, Issuer
from gateway.config.names import Accepted, FieldName, Pointer
from gateway.config.scalars import (
    Boolean,
    Count,
    CountOrZero,
    Frozen,
    Name,
    Section,
    Text,
    default,
    one_of,
    required,
)
from gateway.config.secrets import CaFile, SecretValue
from gateway.config.units import Duration, PositiveDuration

TimeUnit = Annotated[Literal["s", "ms"], one_of("s", "ms")]
_VSCHAR = "^[ -~]+$"
"""RFC 6749 appendix A."""
_METHODS = ("GET", "POST", "PUT", "PATCH")


class RefreshEndpoint(Section):
    """A token endpoint that is not RFC 6749, described.

    The texts in `headers`, `query`, `form` and `json` may hold the placeholders `{refresh_token}`,
    `{access_token}` and `{client_id}`.
    """

    url: EndpointUrl = required("https://auth.example/access/refresh")
    """The endpoint's URL, without a query (that goes into `query`)."""
    method: Annotated[Literal["GET", "POST", "PUT", "PATCH"], one_of(*_METHODS)] = default("POST")
    """The request method."""
    headers: Frozen[FieldName, Text] = default({}, repr=False)
    """Header fields, such as `{ Authorization = "Bearer {refresh_token}" }`."""
    query: Frozen[Name, Text] = default({}, repr=False)
    """Query parameters."""
    form: Frozen[Name, Text] | None = default(None, repr=False)
    """Members of a form body. Not together with `json`."""
    json_: Frozen[Name, JsonValue] | None = default(None, alias="json", repr=False)
    """Members of a JSON body. Not together with `form`."""
    ok: Frozen[Pointer, Accepted] = default({})
    """JSON pointers into the answer and the values they have when it grants; all of them must match.
    `200` is not `"200"`. Empty: every 2xx."""
    denied: Frozen[Pointer, Accepted] = default({})
    """JSON pointers and the values that say that the refresh token is dead; one match is enough.
    Looked at first."""
    access_token: Pointer = default("/access_token")
    """Where the new access token is in the answer."""
    refresh_token: Pointer | None = default("/refresh_token")
    """Where the new refresh token is. Nothing there: the old one is kept."""
    expires_in: Pointer | None = None
    """Where the access token's lifetime is, if the answer says it."""
    expires_at: Pointer | None = None
    """Where the access token's end is (Unix time), if the answer says it."""
    expires_in_unit: TimeUnit = default("s")
    """The unit of `expires_in`: seconds or milliseconds."""
    expires_at_unit: TimeUnit = default("s")
    """The unit of `expires_at`: seconds or milliseconds."""


_BUILT = ("client_secret_basic", "client_secret_post", "none")
ClientAuth = Annotated[
    Literal["client_secret_basic", "client_secret_post", "none"],
    one_of(
        *_BUILT, later=("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "client_secret_jwt")
    ),
]


ClientId = Annotated[Name, Field(pattern=_VSCHAR), WithJsonSchema({"type": "string", "pattern": _VSCHAR})]


class AuthServer(Section):
    """The authorization server that grants and refreshes tokens."""

    issuer: Issuer | None = None
    """The server's issuer identifier. Discovery (RFC 8414, OpenID) from it fills the endpoints left out."""
    token_endpoint: EndpointUrl | None = None
    """Where tokens are refreshed. Absent: from discovery."""
    jwks_uri: EndpointUrl | None = None
    """Where the signing keys are. Absent: from discovery."""
    revocation_endpoint: EndpointUrl | None = None
    """Where a grant is revoked (RFC 7009) whose tokens belong to another user. Absent: from discovery."""
    client_id: ClientId | None = None
    """The gateway's client id (RFC 6749 §2.2)."""
    client_secret: SecretValue | None = None
    """The gateway's client secret: `{ env = "NAME" }` or `{ file = "path" }`. A literal is accepted only
    where the listener and the server are both on the loopback interface, and from the environment."""
    client_auth: ClientAuth = default("client_secret_basic")
    """How the gateway authenticates itself (RFC 6749 §2.3)."""
    scope: Text = default("")
    """The scope to ask for on refresh. Empty: not sent, so the grant's own."""
    timeout: PositiveDuration = default("10s")
    """How long a request waits for a refresh; then it goes on with a token still valid, or is answered 503."""
    late_answer: PositiveDuration = default("30s")
    """How long the server's answer is listened for, beyond the requests that wait. At least `timeout`."""
    rotation_grace: Duration = default("0s")
    """How long the server accepts a refresh token again after rotating it (its reuse interval).
    Above zero: a lost answer is retried once."""
    ca_file: CaFile | None = None
    """PEM certificates of the CAs that the server's certificate is checked against. Absent: the system's."""
    max_concurrent: Count = default(16)
    """Requests to the server at once."""
    max_waiting: CountOrZero = default(1024)
    """Refreshes that may wait for their turn; one more is answered 503."""
    allow_http: Boolean = default(False)
    """Permit http:// to a server on another machine: secrets and tokens then cross the network in clear."""
    refresh: RefreshEndpoint | None = None
    """For a token endpoint that is not RFC 6749: the request to send and how to read its answer."""
