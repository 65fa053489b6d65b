"""Who the client is, and what the upstream is told of it (N1; RFC 7239, and the X-Forwarded-* that all use).

An untrusted peer's words are replaced; a trusted proxy's are kept and continued.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.core.headers import Header, Headers, values

FIELDS = frozenset({b"forwarded", b"x-real-ip"})
PREFIX = b"x-forwarded-"
"""With every name that begins so: APIs that stood behind another proxy believe X-Forwarded-User and its like."""

_WRITTEN = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})

Network = IPv4Network | IPv6Network

_PAIR = re.compile(rb"""\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^\s",;]*)\s*(;|,|\Z)""")
"""One ``name=value`` of RFC 7239 §4, with what ends it."""

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
        forwarded = values(headers, b"forwarded")
        nearest: dict[bytes, bytes] = {}
        if forwarded and not chain:
            elements = _elements(b",".join(forwarded))
            chain = [e[b"for"] for e in elements if b"for" in e]
            nearest = elements[-1]
        proto = _single(headers, b"x-forwarded-proto", nearest.get(b"proto") or scheme)
        public = _single(headers, b"x-forwarded-host", nearest.get(b"host") or host)
        fields = _fields([*chain, address.encode()], proto, public)
        fields += [h for h in headers if (h[0].startswith(PREFIX) and h[0] not in _WRITTEN) or h[0] == b"x-real-ip"]
        if forwarded:
            node = b'"[%s]"' % address.encode() if ":" in address else address.encode()
            fields.append((b"forwarded", b", ".join([*forwarded, b"for=%s;proto=%s" % (node, scheme)])))
        return Peer(self._client([*chain, address.encode()]), proto, public, fields)

    def _client(self, chain: list[bytes]) -> str:
        """The last address that no trusted proxy has: what stands before it, anybody could have written."""
        for member in reversed(chain):
            text = member.decode("latin-1")
            if not self.trusts(text):
                break
        ip = _address(text)
        return "unknown" if ip is None else str(ip)


def _fields(chain: list[bytes], scheme: bytes, host: bytes) -> list[Header]:
    return [
        (b"x-forwarded-for", b", ".join(chain)),
        (b"x-forwarded-proto", scheme),
        (b"x-forwarded-host", host),
    ]


def _elements(value: bytes) -> list[dict[bytes, bytes]]:
    """The elements of ``Forwarded`` (RFC 7239 §4); the first thing that cannot be read ends the list."""
    elements: list[dict[bytes, bytes]] = [{}]
    position = 0
    while pair := _PAIR.match(value, position):
        position = pair.end()
        name, text, end = pair.groups()
        elements[-1][name.lower()] = re.sub(rb"\\(.)", rb"\1", text[1:-1]) if text.startswith(b'"') else text
        if end == b",":
            elements.append({})
    return elements


def _single(headers: Headers, name: bytes, otherwise: bytes) -> bytes:
    found = values(headers, name)
    return found[0] if len(found) == 1 and found[0] else otherwise


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Some proxies add the port; sockets for both families write IPv4 as ``::ffff:192.0.2.1`` (RFC 4291 §2.5.5)."""
    found = _WITH_PORT.fullmatch(text)
    try:
        ip = ip_address(text if found is None else found["v4"] or found["v6"])
    except ValueError:
        return None
    return ip if isinstance(ip, IPv4Address) or ip.ipv4_mapped is None else ip.ipv4_mapped
