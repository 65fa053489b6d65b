"""Where the store is: ``memory://``, or one of the ways in which Redis or Valkey is run."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, NoReturn
from urllib.parse import unquote

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from gateway.config.addresses import is_loopback, plain_host
from gateway.config.problems import bad
from gateway.config.secrets import secret
from gateway.core.secret import Secret

Kind = Literal["memory", "server", "sentinel", "cluster"]

_KINDS: dict[str, tuple[Kind, int]] = {
    "redis": ("server", 6379),
    "redis+sentinel": ("sentinel", 26379),
    "redis+cluster": ("cluster", 6379),
}
"""By scheme, with the port where none is written. ``rediss`` in place of ``redis`` is TLS."""
_SCHEMES = "memory://, redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
_MOST_DATABASES = 1024
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, repr=False)
class StoreUrl:
    """The URL of a store, taken apart. No repr tells an address or a password."""

    kind: Kind
    addresses: tuple[tuple[str, int] | str, ...] = ()
    """Host and port, or the path of a Unix socket: of the server, the Sentinels, or some of a cluster's servers."""
    tls: bool = False
    username: str | None = None
    password: Secret | None = None
    database: int = 0
    service: str = ""
    """What the Sentinels call the master."""

    @property
    def is_shared(self) -> bool:
        """Other processes can use it too."""
        return self.kind != "memory"

    @property
    def is_loopback(self) -> bool:
        """It is on this machine."""
        return all(isinstance(address, str) or is_loopback(address[0]) for address in self.addresses)

    def __str__(self) -> str:
        """Without credentials."""
        scheme = f"redis{'s' * self.tls}{'' if self.kind == 'server' else f'+{self.kind}'}"
        if not self.addresses:
            return "memory://"
        hosts = ",".join(_written(address) for address in self.addresses)
        if isinstance(self.addresses[0], str):
            return f"unix://{hosts}{f'?db={self.database}' if self.database else ''}"
        path = "/".join(filter(None, (self.service, str(self.database) if self.database else "")))
        return f"{scheme}://{hosts}{'/' * bool(path)}{path}"

    def __repr__(self) -> str:
        return "StoreUrl(…)"


def store_url(value: object, info: ValidationInfo) -> StoreUrl:
    """Text, or a reference to a secret that is the URL."""
    text = secret(value, info).reveal()
    scheme, separator, rest = text.partition("://")
    plain = scheme.replace("rediss", "redis")
    if text == "memory://":
        return StoreUrl("memory")
    if not separator or (plain not in _KINDS and scheme != "unix"):
        raise bad("is not the URL of a store", f"write one that begins with {_SCHEMES}")
    userinfo, at, place = _parted(scheme, rest)
    username, colon, password = userinfo.partition(":")
    credentials = unquote(username) or None, Secret(unquote(password)) if colon and password else None
    if at and not any(credentials):
        raise bad("has an empty user name and password", "take the @ out, or write them before it")
    if scheme == "unix":
        return _unix(place, *credentials)
    return _network(scheme, place, *credentials)


def _parted(scheme: str, rest: str) -> tuple[str, str, str]:
    """Credentials, their @, and the place. A path may have an @ of its own."""
    if scheme != "unix":
        return rest.rpartition("@")
    if rest.startswith("/"):
        return "", "", rest
    userinfo, at, path = rest.partition("@/")
    return userinfo, at, f"/{path}" if at else rest


def _unix(place: str, username: str | None, password: Secret | None) -> StoreUrl:
    path, _, query = place.partition("?")
    found = re.fullmatch(r"(?:db=([0-9]{1,4}))?", query)
    if not path.startswith("/") or "\0" in path or found is None:
        raise bad("is not the URL of a Unix socket", 'write "unix:///path/of/the/socket" or "unix:///path?db=1"')
    return StoreUrl("server", (unquote(path),), False, username, password, _database(found[1]))


def _network(scheme: str, place: str, username: str | None, password: Secret | None) -> StoreUrl:
    kind, port = _KINDS[scheme.replace("rediss", "redis")]
    if "?" in place or "#" in place:
        raise bad("has options", "take them out: TLS files, max_connections and keys are keys of [store]")
    hosts, _, path = place.partition("/")
    addresses = tuple(_address(host, port) for host in hosts.split(","))
    service, database = _path(kind, path)
    if kind == "server" and len(addresses) > 1:
        raise bad("has several servers", "write redis+sentinel:// or redis+cluster://, whichever they are")
    return StoreUrl(kind, addresses, "rediss" in scheme, username, password, database, service)


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """The name of a Sentinel's service, and the number of a database."""
    parts = path.split("/") if path else []
    if kind == "sentinel":
        if not parts or not re.fullmatch(r"[A-Za-z0-9._-]+", parts[0]):
            raise bad("names no service of the Sentinels", 'write "redis+sentinel://host:26379,…/name"')
        return parts[0], _numbered(parts[1:])
    if kind == "cluster" and parts:
        raise bad("has a path", "take it out: a Redis Cluster has one database")
    return "", _numbered(parts)


def _numbered(parts: list[str]) -> int:
    if len(parts) > 1 or (parts and not re.fullmatch("[0-9]{1,4}", parts[0])):
        _no_database()
    return _database(parts[0] if parts else None)


def _database(text: str | None) -> int:
    number = int(text or 0)
    if number >= _MOST_DATABASES:
        _no_database()
    return number


def _no_database() -> NoReturn:
    raise bad("has a path that is no number of a database", "write /0 to /1023, or nothing")


def _address(text: str, port: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text)
    host = plain_host(found[1]) if found else None
    number = int(found[2] or port) if found else 0
    if host is None or not 0 < number <= _MAX_PORT:
        raise bad("has no valid host and port", 'write "redis://host:6379"; an IPv6 address in brackets')
    return host, number


def _written(address: tuple[str, int] | str) -> str:
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


StoreLocation = Annotated[
    StoreUrl,
    PlainValidator(store_url),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(memory|unix|rediss?(\+sentinel|\+cluster)?)://.*$"},
                {
                    "type": "object",
                    "properties": {
                        "env": {"type": "string", "description": "The environment variable that holds it."},
                        "file": {"type": "string", "description": "The file that holds it, as text."},
                    },
                    "additionalProperties": False,
                    "oneOf": [{"required": ["env"]}, {"required": ["file"]}],
                },
            ],
            "x-type": "URL, or a secret that is one",
        }
    ),
]
