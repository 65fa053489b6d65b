"""What is sent to the authorization server: the refresh request (RFC 6749 §6), by its rules or by a template
of the operator's (CONTRACT, "Token endpoints that are not RFC 6749"), and the revocation request (RFC 7009).

A placeholder is filled in one pass, so that a token which contains ``{access_token}`` stays what it is; the
encoding of its place is applied after the filling.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote, quote_plus, urlencode

from gateway.core.headers import Header
from gateway.core.secret import Secret
from gateway.core.strict_json import split_pointer

ClientAuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]
TimeUnit = Literal["s", "ms"]
Accepted = Mapping[str, tuple[object, ...]]
"""JSON Pointer -> accepted values."""

_PLACEHOLDER = re.compile(r"\{(refresh_token|access_token|client_id)\}")
_VSCHAR: Final = re.compile(r"[\x20-\x7e]+")
"""RFC 6749 appendix A: a token is 1*VSCHAR, here with the space that RFC 6749 means by it and others send."""


@dataclass(frozen=True, slots=True)
class StandardSpec:
    """A token endpoint that follows RFC 6749."""

    client_id: str
    client_secret: Secret | None = None
    client_auth: ClientAuthMethod = "client_secret_basic"
    scope: str = ""
    """Sent on refresh when set."""


@dataclass(frozen=True, slots=True)
class CustomSpec:
    """Any HTTP endpoint that refreshes: templates of the request, pointers into its JSON answer."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    json: Mapping[str, object] | None = None
    """At most one of ``form`` and ``json``. Placeholders are filled in every text of ``json``, however deep."""
    client_id: str = ""
    ok: Accepted = field(default_factory=dict)
    """The answer is a grant if *every* pointer holds one of its values; empty: if the status is 2xx.
    Values match in type and value: 200 is not ``"200"``, and neither is ``true`` 1."""
    denied: Accepted = field(default_factory=dict)
    """The refresh token is dead if *any* pointer holds one of its values. Looked at first."""
    access_token: str = "/access_token"  # noqa: S105  # a JSON Pointer
    refresh_token: str | None = "/refresh_token"  # noqa: S105  # a JSON Pointer
    expires_in: str | None = None
    expires_at: str | None = None
    expires_in_unit: TimeUnit = "s"
    expires_at_unit: TimeUnit = "s"

    # Raises ValueError for two bodies or a pointer that is none: the start stops, not a refresh.
    def __post_init__(self) -> None:
        if self.form is not None and self.json is not None:
            raise ValueError("a refresh request has a form or a json body, not both")
        pointers = (self.access_token, self.refresh_token, self.expires_in, self.expires_at)
        for pointer in (*pointers, *self.ok, *self.denied):
            split_pointer(pointer or "")


RefreshSpec = StandardSpec | CustomSpec


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request to the authorization server. Its URL, headers and body may hold secrets: none is shown."""

    method: str
    url: str = field(repr=False)
    headers: tuple[Header, ...] = field(repr=False)
    body: bytes = field(repr=False)


def presentable(token: Secret) -> bool:
    """RFC 6749 appendix A.17 allows the token: printable ASCII, so no CR or LF can enter a header."""
    return _VSCHAR.fullmatch(token.reveal()) is not None


def refresh_request(
    spec: RefreshSpec, url: str, refresh_token: Secret, access_token: Secret | None
) -> TokenRequest:
    """The request that presents ``refresh_token`` once. ``url`` is the token endpoint, or ``spec.url``.

    Raises:
        ValueError: a header would carry a control character, or the template wants an access token and
            there is none. The text quotes nothing.
    """
    if isinstance(spec, StandardSpec):
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        return _authenticated(spec, url, form | ({"scope": spec.scope} if spec.scope else {}))
    values = {"refresh_token": refresh_token.reveal(), "client_id": spec.client_id}
    if access_token is not None:
        values["access_token"] = access_token.reveal()
    return _from_template(spec, url, values)


def revocation_request(spec: StandardSpec, url: str, token: Secret) -> TokenRequest:
    """RFC 7009 §2.1: revoke a refresh token, and with it the grant."""
    return _authenticated(spec, url, {"token": token.reveal(), "token_type_hint": "refresh_token"})


def _authenticated(spec: StandardSpec, url: str, form: dict[str, str]) -> TokenRequest:
    """RFC 6749 §2.3.1: the client's own credentials, in one way and never in two."""
    headers = [(b"accept", b"application/json"), (b"content-type", b"application/x-www-form-urlencoded")]
    secret = spec.client_secret.reveal() if spec.client_secret is not None else ""
    if spec.client_auth == "client_secret_basic":
        pair = f"{quote_plus(spec.client_id)}:{quote_plus(secret)}"
        headers.append((b"authorization", b"Basic " + base64.b64encode(pair.encode())))
    else:
        form["client_id"] = spec.client_id
    if spec.client_auth == "client_secret_post":
        form["client_secret"] = secret
    return TokenRequest("POST", url, tuple(headers), urlencode(form).encode())


def _from_template(spec: CustomSpec, url: str, values: Mapping[str, str]) -> TokenRequest:
    fields = {"accept": "application/json"}
    body = b""
    if spec.form is not None:
        fields["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode({name: _fill(text, values) for name, text in spec.form.items()}).encode()
    if spec.json is not None:
        fields["content-type"] = "application/json"
        body = json.dumps(_fill_all(spec.json, values)).encode()
    fields |= {name.lower(): _fill(text, values) for name, text in spec.headers.items()}
    query = urlencode({name: _fill(text, values) for name, text in spec.query.items()}, quote_via=quote, safe="")
    target = url + ("&" if "?" in url else "?") + query if query else url
    headers = tuple((name.encode(), _field_value(text)) for name, text in fields.items())
    return TokenRequest(spec.method, target, headers, body)


def _fill(template: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        try:
            return values[match[1]]
        except KeyError:
            raise ValueError("the refresh request wants an access token, and there is none") from None

    return _PLACEHOLDER.sub(value, template)


def _fill_all(template: object, values: Mapping[str, str]) -> object:
    if isinstance(template, str):
        return _fill(template, values)
    if isinstance(template, Mapping):
        return {name: _fill_all(member, values) for name, member in template.items()}
    if isinstance(template, list | tuple):
        return [_fill_all(member, values) for member in template]
    return template


def _field_value(text: str) -> bytes:
    """RFC 9110 §5.5: visible ASCII and inner blanks. Anything else could start a header of its own."""
    if not re.fullmatch(r"[\x20-\x7e\t]*", text):
        raise ValueError("a header of the refresh request would carry a control character")
    return text.encode()
