"""What arrives at an OAuth endpoint, and what leaves it: form parsing, client authentication, errors."""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

Header = tuple[bytes, bytes]
NO_STORE: list[Header] = [(b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
_CHALLENGE: Header = (b"www-authenticate", b'Basic realm="upstream stub", charset="UTF-8"')
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Received:
    """A request, whole."""

    method: str
    headers: list[Header]
    query: dict[str, str]
    body: bytes
    client: tuple[str, int] | None = None

    def header(self, name: bytes) -> str | None:
        """The first value of the field ``name`` (in lower case)."""
        return next((v.decode("latin-1") for n, v in self.headers if n == name), None)


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    body: bytes = b""
    headers: list[Header] = field(default_factory=list)
    content_type: bytes = b"application/json"


def json_answer(value: object, status: int = 200, headers: list[Header] | None = None) -> Answer:
    """A JSON answer that no cache keeps."""
    return Answer(status, json.dumps(value).encode(), [*NO_STORE, *(headers or [])])


class OAuthError(Exception):
    """An error response of RFC 6749 §5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status

    def answer(self) -> Answer:
        """A 401 carries a challenge whether or not the client tried Basic (RFC 9110 §15.5.2)."""
        challenge = [_CHALLENGE] if self.error == "invalid_client" else []
        return json_answer({"error": self.error, "error_description": self.description}, self.status, challenge)


def _invalid_client(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, 401)


def parse_form(request: Received) -> dict[str, str]:
    """The parameters of a form body; one without a value counts as left out (RFC 6749 §3.2).

    Raises:
        OAuthError: another media type, no UTF-8, a parameter that comes twice.
    """
    if (request.header(b"content-type") or "").split(";")[0].strip().lower() != _FORM:
        raise OAuthError("invalid_request", f"the body must be {_FORM}")
    try:
        pairs = parse_qsl(request.body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise OAuthError("invalid_request", "the body is not a form in UTF-8") from None
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise OAuthError("invalid_request", "a parameter is included more than once")
    return {name: value for name, value in pairs if value}


def _basic(field_value: str) -> tuple[str, str]:
    """Id and secret, each form-urlencoded before base64 (RFC 6749 §2.3.1)."""
    scheme, _, encoded = field_value.partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    if scheme.lower() != "basic" or ":" not in pair:
        raise _invalid_client("the Authorization field is no Basic credentials")
    client_id, _, secret = pair.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


@dataclass(frozen=True)
class Client:
    """A registered client that has proved who it is, and how."""

    id: str
    method: str
    """``client_secret_basic``, ``client_secret_post``, or ``none`` for a public client."""

    @property
    def public(self) -> bool:
        """It has no secret."""
        return self.method == "none"


def authenticate(request: Received, form: Mapping[str, str], clients: Mapping[str, str | None]) -> Client:
    """The client that makes the request (RFC 6749 §2.3, §3.2.1). A secret of None registers a public client.

    Raises:
        OAuthError: ``invalid_client`` (401), or ``invalid_request`` for more than one method at once.
    """
    authorization = request.header(b"authorization")
    posted = form.get("client_secret")
    if authorization is None:
        client_id, secret = form.get("client_id"), posted
        method = "none" if posted is None else "client_secret_post"
    else:
        if posted is not None:
            raise OAuthError("invalid_request", "more than one method of client authentication")
        client_id, secret = _basic(authorization)
        method = "client_secret_basic"
        if form.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "client_id differs from the authenticated client")
    if client_id is None or not _proves(client_id, secret, clients):
        raise _invalid_client("client authentication failed")
    return Client(client_id, method)


def _proves(client_id: str, secret: str | None, clients: Mapping[str, str | None]) -> bool:
    if client_id not in clients:
        return False
    expected = clients[client_id]
    if expected is None or secret is None:
        return expected is None and secret is None
    return hmac.compare_digest(expected.encode(), secret.encode())


def parse_json_object(body: bytes) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
