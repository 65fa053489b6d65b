"""Listeners, URLs and networks as small frozen values. A ``Url`` has no telling repr: no address gets into logs."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from gateway.config.problems import bad
from gateway.config.scalars import listed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@%/-]*")
_QUERY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_MAX_PORT = 65535


def is_loopback(host: str) -> bool:
    """Whether the host can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the gateway listens."""

    host: str
    """A name or an address, IPv6 without brackets."""
    port: int
    """0: any free port."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """An absolute http or https URL without credentials and fragment."""

    scheme: str
    host: str
    """In lower case, IPv6 without brackets."""
    port: int
    path: str
    """As written; for an upstream the prefix of every path, without the last slash (``""`` or ``"/api"``)."""
    query: str = ""
    """Without the question mark. Endpoints may have one (RFC 6749 §3.2)."""

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Host and port as in a Host field: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{'?' * bool(self.query)}{self.query}"

    def __repr__(self) -> str:
        return "Url(…)"


def plain_host(text: str) -> str | None:
    """A host name or address in lower case and without brackets, or None where it is neither."""
    bracketed = text.startswith("[") and text.endswith("]")
    try:
        address = ipaddress.ip_address(text[1:-1] if bracketed else text)
    except ValueError:
        named = _HOST.fullmatch(text) and not text.replace(".", "").isdigit()
        return text.lower() if named and not bracketed else None
    return str(address) if bracketed == (address.version == 6) else None  # noqa: PLR2004


def listen(value: object) -> Listen:
    """``127.0.0.1:8080``, ``[::1]:8080`` or ``name:8080``."""
    remedy = 'write "127.0.0.1:8080" (this machine), "0.0.0.0:8080" or "[::]:8080" (every interface)'
    name, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = plain_host(name)
    if not colon or host is None or not re.fullmatch(r"[0-9]{1,5}", port):
        raise bad("is not host:port", remedy)
    if int(port) > _MAX_PORT:
        raise bad("has a port above 65535", remedy)
    return Listen(host, int(port))


def _split(value: object) -> tuple[SplitResult, str, int]:
    remedy = 'write it as "https://host:port/path"'
    if not isinstance(value, str):
        raise bad("is not a URL", remedy)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise bad("is not a URL", remedy) from None
    if "@" in parts.netloc:
        raise bad("has a user name or password", "take them out: the URL must hold no credentials")
    if parts.scheme not in _PORTS:
        raise bad("is not an http or https URL", remedy)
    host = plain_host(parts.netloc[: -len(str(port)) - 1] if port is not None else parts.netloc.removesuffix(":"))
    if host is None or port == 0:
        raise bad("has no valid host and port", remedy)
    if "#" in value or not _PATH.fullmatch(parts.path) or not _QUERY.fullmatch(parts.query):
        raise bad("has a fragment or a character that a URL may not hold", "take it out or percent-encode it")
    return parts, host, port or _PORTS[parts.scheme]


def url(value: object) -> Url:
    """An endpoint of the authorization server."""
    parts, host, port = _split(value)
    return Url(parts.scheme, host, port, parts.path, parts.query)


def origin(value: object) -> Url:
    """An upstream: a path prefix is allowed, a query is not."""
    parts, host, port = _split(value)
    if parts.query or "?" in str(value):
        raise bad("has a query", "take it out: the client's own query is sent")
    if re.search(r"//|%|/\.{1,2}(/|$)", parts.path):
        raise bad("has an ambiguous path", "write the prefix without '//', '.', '..' and percent signs")
    return Url(parts.scheme, host, port, parts.path.rstrip("/"))


def issuer(value: object) -> str:
    """An issuer identifier, kept byte for byte because it is compared so (RFC 8414 §2, §3.3)."""
    if _split(value)[0].query or "?" in str(value):
        raise bad("has a query", "write the issuer exactly as the authorization server's metadata has it")
    return str(value)


def network(value: object) -> Network:
    """A network in CIDR notation; a bare address is a network of one."""
    remedy = 'write a network such as "10.0.0.0/8" or "fd00::/8"'
    if not isinstance(value, str):
        raise bad("is not a network", remedy)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise bad("is not a network", remedy) from None
    raise bad("has bits set beyond its prefix", f'write "{meant}"')


_URL_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^https?://[^@#]+$", "x-type": "URL"})

ListenAddress = Annotated[
    Listen,
    PlainValidator(listen),
    WithJsonSchema({"type": "string", "pattern": "^.+:[0-9]{1,5}$", "x-type": "host:port"}),
]
EndpointUrl = Annotated[Url, PlainValidator(url), _URL_SCHEMA]
OriginUrl = Annotated[Url, PlainValidator(origin), _URL_SCHEMA]
Issuer = Annotated[str, BeforeValidator(issuer), _URL_SCHEMA]
Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(network), WithJsonSchema({"type": "string", "x-type": "CIDR"})], ...],
    listed('["10.0.0.0/8"]'),
]
