"""The authorization server's endpoints, as functions from a whole request to a whole answer.

None of them waits for anything, so that reading and rotating a refresh token is one step. Those that follow an
RFC raise ``OAuthError``; their caller makes it an answer.
"""

from typing import Any
from urllib.parse import urlsplit

from upstream_stub.families import token_id
from upstream_stub.faults import PLAIN, Twist
from upstream_stub.issuer import Issuer
from upstream_stub.oauth import (
    Answer,
    Client,
    OAuthError,
    Received,
    authenticate,
    json_answer,
    parse_form,
    parse_json_object,
)

_LOGIN_CLIENT = Client("gateway", "client_secret_basic")
"""The login endpoint is a confidential client of this server, as the back end of a web application is."""


def _required(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise OAuthError("invalid_request", f"{name} is missing")
    return form[name]


def token(issuer: Issuer, request: Received, twist: Twist = PLAIN) -> Answer:
    """RFC 6749 §6. The password grant stands in for a login; RFC 9700 §2.4 forbids it to real servers."""
    form = parse_form(request)
    client = authenticate(request, form, issuer.clients)
    match _required(form, "grant_type"):
        case "refresh_token":
            refresh_token = _required(form, "refresh_token")
            return json_answer(issuer.grant_refresh(client, refresh_token, form.get("scope"), twist))
        case "password":
            username, password = _required(form, "username"), _required(form, "password")
            if not issuer.checks_password(username, password):
                raise OAuthError("invalid_grant", "wrong user or password")
            return json_answer(issuer.grant_login(client, username, form.get("scope")))
        case _:
            raise OAuthError("unsupported_grant_type", "password and refresh_token are supported")


def revoke(issuer: Issuer, request: Received) -> str | None:
    """RFC 7009. Revoking a refresh token revokes its family. The id of what was revoked, if anything was."""
    form = parse_form(request)
    client = authenticate(request, form, issuer.clients)
    text = _required(form, "token")
    return token_id(text) if _revoke(issuer, client, text) else None


def _revoke(issuer: Issuer, client: Client, text: str) -> bool:
    """An unknown token is no error (RFC 7009 §2.2); another client's is (§2.1)."""
    known = issuer.families.find(text)
    claims = issuer.read_access_token(text) if known is None else None
    owner = known.family.client_id if known else (claims or {}).get("client_id", client.id)
    if owner != client.id:
        raise OAuthError("invalid_grant", "the token was issued to another client")
    if known is not None:
        known.family.revoked = True
    elif claims is not None:
        issuer.revoke_access_token(claims)
    return known is not None or claims is not None


def introspect(issuer: Issuer, request: Received) -> Answer:
    """RFC 7662, for confidential clients only (§2.1)."""
    form = parse_form(request)
    client = authenticate(request, form, issuer.clients)
    if client.public:
        raise OAuthError("invalid_client", "introspection needs client authentication", 401)
    text = _required(form, "token")
    found = _introspect_refresh(issuer, text) or _introspect_access(issuer, text)
    return json_answer(found or {"active": False})


def _introspect_access(issuer: Issuer, text: str) -> dict[str, Any] | None:
    claims = issuer.read_access_token(text)
    if claims is None or issuer.access_token_revoked(claims):
        return None
    return {"active": True, "token_type": "Bearer", "username": claims.get("sub"), **claims}


def _introspect_refresh(issuer: Issuer, text: str) -> dict[str, Any] | None:
    known = issuer.families.find(text)
    if known is None or known.family.revoked or known.rotated_at is not None or issuer.now() >= known.expires_at:
        return None
    family = known.family
    return {
        "active": True,
        "client_id": family.client_id,
        "sub": family.subject,
        "scope": family.scope,
        "iat": int(known.issued_at),
        "exp": int(known.expires_at),
    }


def metadata(issuer: Issuer) -> dict[str, Any]:
    """RFC 8414 §2, with what OpenID Connect Discovery §3 adds. The endpoints lie at the issuer's origin."""
    parts = urlsplit(issuer.issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    methods = ["client_secret_basic", "client_secret_post"]
    document = {
        "issuer": issuer.issuer,
        "token_endpoint": f"{origin}/token",
        "jwks_uri": f"{origin}/jwks",
        "revocation_endpoint": f"{origin}/revoke",
        "introspection_endpoint": f"{origin}/introspect",
        "grant_types_supported": ["refresh_token", "password"],
        "response_types_supported": [],
        "scopes_supported": issuer.scope.split(),
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        "introspection_endpoint_auth_methods_supported": methods,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [issuer.algorithm],
    } | issuer.metadata_changes
    return {name: value for name, value in document.items() if value is not None}


def login(issuer: Issuer, request: Received) -> Answer:
    """An existing application's login: ``{"username", "password"}`` in, both tokens in an envelope out."""
    asked = parse_json_object(request.body)
    username, password = asked.get("username"), asked.get("password")
    if (
        not isinstance(username, str)
        or not isinstance(password, str)
        or not issuer.checks_password(username, password)
    ):
        return json_answer({"code": 401, "message": "wrong user or password", "data": None}, 401)
    access, refresh_token = issuer.login(username)
    expires_at = issuer.read_access_token(access) or {}
    data = {"token": access, "refreshToken": refresh_token, "tokenExpire": int(expires_at.get("exp", 0) * 1000)}
    return json_answer({"code": 200, "message": "ok", "data": data})


def access_refresh(issuer: Issuer, request: Received, twist: Twist = PLAIN) -> Answer:
    """``GET /access/refresh`` with the refresh token as the bearer. Does not rotate; a dead token is a 200 too."""
    scheme, _, text = (request.header(b"authorization") or "").partition(" ")
    granted = _legacy_grant(issuer, text if scheme.lower() == "bearer" else "", twist)
    if granted is None:
        return json_answer({"code": 401, "message": "refresh token expired", "data": None})
    return json_answer({"code": 200, "message": "ok", "data": granted})


def query_refresh(issuer: Issuer, request: Received, twist: Twist = PLAIN) -> Answer:
    """``GET /refresh?refreshToken=…``. Does not rotate; its codes are strings."""
    granted = _legacy_grant(issuer, request.query.get("refreshToken", ""), twist)
    if granted is None:
        return json_answer({"code": "401", "data": None})
    return json_answer({"code": "200", "data": granted})


def _legacy_grant(issuer: Issuer, refresh_token: str, twist: Twist) -> str | None:
    try:
        response = issuer.grant_refresh(_LOGIN_CLIENT, refresh_token, None, twist, rotate=False)
    except OAuthError:
        return None
    access_token: str | None = response.get("access_token")
    return access_token
