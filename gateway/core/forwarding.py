"""Who the client is, and what the upstream is told of it (N1; RFC 7239, and the X-Forwarded-* that all use).

An untrusted peer's words are replaced; a trusted proxy's are kept and continued. It is trusted not to pass on what
*its* client wrote into the fields that it does not write itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.core.headers import Header, Headers, values
from gateway.core.paths import is_authority

FIELDS = frozenset({b"forwarded", b"x-real-ip", b"x-original-url", b"x-rewrite-url"})
PREFIX = b"x-forwarded-"
"""With every name that begins so: APIs that stood behind another proxy believe X-Forwarded-User and its like. Some
take the path from X-Original-URL or X-Rewrite-URL, as IIS taught them: not the path that was judged (N3).
"""

_WRITTEN = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})
_KEPT = FIELDS - {b"forwarded", b"x-real-ip"}
_SCHEMES = {b"http": b"http", b"https": b"https", b"ws": b"http", b"wss": b"https"}
"""Some proxies name the protocol of a WebSocket."""
_UNKNOWN = "unknown"
_FARTHEST = 64
"""How many proxies may stand between a client and us. A longer chain is passed on; only so much of it is read."""

Network = IPv4Network | IPv6Network

_PAIR = re.compile(rb"""[ \t]*(?:([A-Za-z0-9_-]+)=("(?:[^"\\]|\\.)*"|[^\s",;]*)[ \t]*)?(;|,|\Z)""")
"""One ``name=value`` of RFC 7239 §4, or nothing, with what ends it."""

_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request came from."""

    client: str
    """The client's address, as far as it can be believed."""
    scheme: bytes
    host: bytes
    fields: Headers
    """What the upstream is told, in place of what the client sent."""
    spoke_untrusted: bool = False
    """It sent X-Forwarded-For, and nobody said that it may (D3)."""


class Forwarding:
    """The rules for one listener."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def trusts(self, address: str) -> bool:
        """Whether ``address`` belongs to a proxy whose words are believed."""
        ip = _address(address)
        return ip is not None and any(ip in network for network in self._trusted)

    def read(self, headers: Headers, address: str, scheme: str, host: bytes) -> Peer:
        """The peer of a request from ``address`` (the socket's), over ``scheme``, for ``host``."""
        if self._trusted and self.trusts(address):
            return self._from_proxy(headers, address, scheme.encode(), host)
        fields = _fields([address.encode()], scheme.encode(), host)
        spoke = any(n == b"x-forwarded-for" for n, _ in headers)
        return Peer(address, scheme.encode(), host, fields, spoke_untrusted=spoke)

    def _from_proxy(self, headers: Headers, address: str, scheme: bytes, host: bytes) -> Peer:
        chain = [m.strip() for v in values(headers, b"x-forwarded-for") for m in v.split(b",") if m.strip()]
        forwarded = [v for v in values(headers, b"forwarded") if v]
        elements = _elements(b",".join(forwarded))
        nearest: dict[bytes, bytes] = {}
        if elements and not chain:
            chain = [e.get(b"for", b"unknown") for e in elements]
            nearest = elements[-1]
        said = _single(headers, b"x-forwarded-proto") or nearest.get(b"proto", b"")
        proto = _SCHEMES.get(said.lower(), scheme)
        public = _single(headers, b"x-forwarded-host") or nearest.get(b"host", b"")
        public = public if is_authority(public) else host
        client = self._client([*chain[-_FARTHEST:], address.encode()])
        fields = _fields([*chain, address.encode()], proto, public)
        if client != _UNKNOWN and values(headers, b"x-real-ip"):
            fields.append((b"x-real-ip", client.encode()))
        fields += [h for h in headers if h[0] in _KEPT or (h[0].startswith(PREFIX) and h[0] not in _WRITTEN)]
        if forwarded:
            node = b'"[%s]"' % address.encode() if ":" in address else address.encode()
            kept = forwarded if elements is not None else []
            fields.append((b"forwarded", b", ".join([*kept, b"for=%s;proto=%s" % (node, scheme)])))
        return Peer(client, proto, public, fields)

    def _client(self, chain: list[bytes]) -> str:
        """The last address that no trusted proxy has: what stands before it, anybody could have written."""
        for member in reversed(chain):
            text = member.decode("latin-1")
            if not self.trusts(text):
                break
        ip = _address(text)
        return _UNKNOWN if ip is None else str(ip)


def _fields(chain: list[bytes], scheme: bytes, host: bytes) -> list[Header]:
    fields = [(b"x-forwarded-for", b", ".join(chain)), (b"x-forwarded-proto", scheme)]
    return [*fields, (b"x-forwarded-host", host)] if host else fields  # HTTP/1.0 may have none


def _elements(value: bytes) -> list[dict[bytes, bytes]] | None:
    """The elements of ``Forwarded`` (RFC 7239 §4) that are not empty; None: it cannot be read to its end.

    Its end is the part that the nearest proxy wrote. Who could break it off by what stands before could make his
    own words the last.
    """
    elements: list[dict[bytes, bytes]] = [{}]
    position = 0
    while position < len(value):
        pair = _PAIR.match(value, position)
        if pair is None:
            return None
        position = pair.end()
        name, text, end = pair.groups()
        if name is not None:
            name = name.lower()
            if name in elements[-1]:
                return None
            elements[-1][name] = re.sub(rb"\\(.)", rb"\1", text[1:-1]) if text.startswith(b'"') else text
        if end == b",":
            elements.append({})
    return [e for e in elements if e]


def _single(headers: Headers, name: bytes) -> bytes:
    found = values(headers, name)
    return found[0] if len(found) == 1 else b""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Some proxies add the port; sockets for both families write IPv4 as ``::ffff:192.0.2.1`` (RFC 4291 §2.5.5).

    A zone (RFC 4007 §11) names an interface of whoever wrote it, not another client.
    """
    found = _WITH_PORT.fullmatch(text)
    try:
        ip = ip_address(text.partition("%")[0] if found is None else found["v4"] or found["v6"])
    except ValueError:
        return None
    return ip if isinstance(ip, IPv4Address) or ip.ipv4_mapped is None else ip.ipv4_mapped
