"""What browsers on other origins may do: ``[cors]``."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.config.names import Methods
from gateway.config.problems import bad
from gateway.config.scalars import Boolean, Section, default, listed
from gateway.config.units import Duration

_ORIGIN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
)
_FIELD = r"[A-Za-z0-9!#$%&'+.^_`|~-]{1,128}"
"""A token (RFC 9110 §5.6.2) that is not ``*``."""
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_REMEDY = 'write scheme, host and port as browsers send them, such as "https://app.example"'
_REFUSED = {
    "*": ("allows every origin, and with it any page on the web to use its visitors' tokens", _REMEDY),
    "null": ("is the origin of every sandboxed frame and local file", _REMEDY),
}


def origin(value: object) -> str:
    """An origin as browsers serialize it (RFC 6454 §6.2): lower case, without its scheme's own port."""
    if isinstance(value, str) and value in _REFUSED:
        raise bad(*_REFUSED[value])
    if not isinstance(value, str):
        raise bad("is not an origin", _REMEDY)
    if "*" in value:
        raise bad("has a wildcard", "list each origin by its whole name")
    if not value.isascii():
        raise bad("is not ASCII", "write the host as browsers send it, with xn-- (RFC 5891)")
    if re.search(r"://[^/?#]*[/?#]", value):
        raise bad("has a path", "write it without one, and without a slash at its end")
    found = _ORIGIN.fullmatch(value)
    if found is None:
        raise bad("is not an origin", _REMEDY)
    scheme, host = found["scheme"].lower(), _host(found["host"])
    port = int(found["port"] or _PORTS.get(scheme, 0))
    if port > _MAX_PORT:
        raise bad("has a port above 65535", _REMEDY)
    return f"{scheme}://{host}" if port == _PORTS.get(scheme, 0) else f"{scheme}://{host}:{port}"


def _host(text: str) -> str:
    try:
        if text.startswith("["):
            return f"[{IPv6Address(text[1:-1])}]"
        return str(IPv4Address(text)) if text.replace(".", "").isdigit() else text.lower()
    except ValueError:
        raise bad("has an address that is none", _REMEDY) from None


def _some(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not origins:
        raise bad("is empty", "name the origins, or take [cors] out and let the API answer")
    return origins


def _named(methods: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in methods:
        raise bad("has a wildcard, which browsers take for a method's name with credentials", "list the methods")
    return methods


def field(value: object) -> str:
    """A header field's name, in full."""
    if value == "*":
        raise bad("stands for every field but Authorization (Fetch §4.9)", "list the names")
    if not isinstance(value, str) or not re.fullmatch(_FIELD, value):
        raise bad("is not a header field name", 'write one such as "X-Total-Count"')
    return str(value)


Origin = Annotated[
    str,
    BeforeValidator(origin),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#*]+$", "x-type": "origin"}),
]
Origins = Annotated[tuple[Origin, ...], listed('["https://app.example"]'), AfterValidator(_some)]
Allowed = Annotated[Methods, AfterValidator(_named)]
Fields = Annotated[
    tuple[
        Annotated[
            str,
            BeforeValidator(field),
            WithJsonSchema({"type": "string", "pattern": f"^{_FIELD}$", "x-type": "header name"}),
        ],
        ...,
    ],
    listed('["Content-Type"]'),
]


class Cors(Section):
    """CORS answered by the gateway: preflights end here, and what the API says of CORS is replaced."""

    allow_origins: Origins = Field(examples=[["https://app.example"]])
    """The origins whose pages may read answers, each in full. No `*`, no `null`."""
    allow_methods: Allowed = default(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    """The methods that they may use."""
    allow_headers: Fields = default(["Content-Type"])
    """The request fields that they may send, besides those that browsers always allow and those of the tokens."""
    expose_headers: Fields = default([])
    """The response fields that they may read, besides those of new tokens, `WWW-Authenticate` and `Retry-After`."""
    allow_credentials: Boolean = default(False)
    """Whether browsers send cookies along. Not needed for tokens in headers."""
    max_age: Duration = default("10m")
    """How long a browser may remember a preflight's answer; whole seconds. Chrome keeps it for 2 hours at most."""
