"""Names of the protocols: header fields, methods, JSON pointers, the paths of routes."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from gateway.config.problems import bad
from gateway.config.scalars import listed
from gateway.core.paths import canonical
from gateway.core.strict_json import split_pointer

RESERVED = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("content-encoding", "content-length", "content-type", "date", "expect", "forwarded", "host", "via"),
        *("accept-encoding", "cache-control", "cookie", "location", "origin", "set-cookie", "vary"),
        *("proxy-authenticate", "proxy-authorization", "www-authenticate"),
    }
)
"""Fields with a meaning of their own in HTTP: hop-by-hop (RFC 9110 §7.6.1), framing, routing, caching, cookies."""

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105  # RFC 9110 §5.6.2
_FIELD = r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,128}"
_MATCH = r"/[^?#*]*\*?"
_UNESCAPED = re.compile(r"/[A-Za-z0-9._~!$&'()+,=:@/-]*")
_AMBIGUOUS_REMEDY = "write the plain form, without '//', '.', '..', ';', '\\', blanks and encoded slashes or dots"


def field_name(value: object) -> str:
    """A header field's name that no server reads as another one's."""
    if not isinstance(value, str) or not re.fullmatch(_TOKEN, value):
        raise bad("is not a header field name", 'write one such as "X-Access-Token"')
    if not re.fullmatch(_FIELD, value):
        raise bad("has an underscore or is too long", "write it with hyphens: servers confuse or drop underscores")
    if value.lower() in RESERVED:
        raise bad("is a field that HTTP itself uses", 'choose another name, such as "X-Access-Token"')
    return str(value)


def scheme(value: object) -> str:
    """An authentication scheme (RFC 9110 §11.1); empty for a bare token."""
    if not isinstance(value, str) or (value and not re.fullmatch(_TOKEN, value)):
        raise bad("is not an authentication scheme", 'write "Bearer", or "" for a bare token')
    if value.lower() in ("dpop", "basic"):
        raise bad("is a scheme that carries no bearer token", 'write "Bearer", or "" for a bare token')
    return str(value)


def method(value: object) -> str:
    """A method's name. Methods are case-sensitive (RFC 9110 §9.1), and the known ones are upper case."""
    if not isinstance(value, str) or not re.fullmatch(_TOKEN, value) or value != value.upper():
        raise bad("is not a method", 'write it in upper case, such as "POST"')
    if value in ("CONNECT", "TRACE"):
        raise bad("is a method that the gateway never forwards", "take it out")
    return str(value)


def pointer(value: object) -> str:
    """A JSON Pointer (RFC 6901)."""
    try:
        split_pointer(value if isinstance(value, str) else "?")
    except ValueError:
        raise bad("is not a JSON pointer", 'write it as "/data/token"') from None
    return str(value)


def route_match(value: object) -> str:
    """A path, or a prefix that ends in ``/*``; never one that can be read in two ways (N2, N3)."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise bad("does not start with /", 'write a path such as "/auth/login" or "/auth/*"')
    body = value.removesuffix("*")
    if "*" in body or (body != value and not body.endswith("/")):
        raise bad('has a "*" that is not a final "/*"', 'write an exact path, or a prefix such as "/auth/*"')
    if "?" in value or "#" in value:
        raise bad("has a query or a fragment", "write the path alone: rules never read the query")
    if canonical(body.encode(errors="surrogateescape")) is None:
        raise bad("has a part that two servers would read differently", _AMBIGUOUS_REMEDY)
    return str(value)


def path_prefix(value: object) -> str:
    """The start of a path, in whole segments, without the last slash; cut off targets as they were sent."""
    match = route_match(value)
    if match.endswith(("*", "/")):
        raise bad("is not a prefix of whole segments", 'write it without a final slash, such as "/billing"')
    return _unescaped(match)


def own_prefix(value: object) -> str:
    """The folder of the gateway's own endpoints."""
    match = route_match(value)
    if match == "/" or not match.endswith("/"):
        raise bad("is not a folder", 'write it with a slash at both ends, such as "/_gateway/"')
    return _unescaped(match)


def _unescaped(path: str) -> str:
    if not _UNESCAPED.fullmatch(path):
        raise bad("has a character that is percent-encoded in a path", "use letters, digits and hyphens")
    return path


def accepted(value: object) -> tuple[str | int | bool, ...]:
    """The values that a member of an answer may have."""
    if not isinstance(value, list | tuple) or not value:
        raise bad("is not a list of accepted values", 'write a list, such as [200] or ["200"]')
    if not all(isinstance(v, str | int) for v in value):
        raise bad("lists something that is neither text, number, true nor false", "take it out")
    return tuple(str(v) if isinstance(v, str) else v for v in value)


def _schema(pattern: str, kind: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "x-type": kind})


FieldName = Annotated[str, BeforeValidator(field_name), _schema(_FIELD, "header name")]
Scheme = Annotated[str, BeforeValidator(scheme), _schema(f"({_TOKEN})?", "scheme")]
Method = Annotated[str, BeforeValidator(method), _schema(r"[A-Z0-9!#$%&'*+.^_`|~-]+", "method")]
Methods = Annotated[tuple[Method, ...], listed('["POST"]')]
Pointer = Annotated[str, BeforeValidator(pointer), _schema(r"(/([^~]|~[01])*)?", "JSON pointer")]
Match = Annotated[str, BeforeValidator(route_match), _schema(_MATCH, "path or prefix/*")]
PathPrefix = Annotated[str, BeforeValidator(path_prefix), _schema("/[^*]*[^*/]", "path")]
OwnPrefix = Annotated[str, BeforeValidator(own_prefix), _schema("/[^*]+/", "path")]
Accepted = Annotated[
    tuple[str | int | bool, ...],
    BeforeValidator(accepted),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": ["string", "integer", "boolean"]},
            "x-type": "list of values",
        }
    ),
]


def _pseudonym(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_PSEUDONYM, value):
        raise bad(
            "is not a name for Via", 'write letters, digits and any of .-_ (64 at most), such as "evergreen-eu"'
        )
    return str(value)


_PSEUDONYM = r"[A-Za-z0-9._-]{1,64}"
Pseudonym = Annotated[
    str, BeforeValidator(_pseudonym), WithJsonSchema({"type": "string", "pattern": f"^{_PSEUDONYM}$"})
]
"""How ``Via`` calls a recipient (RFC 9110 §7.6.3)."""
