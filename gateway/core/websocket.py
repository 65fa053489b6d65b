"""The opening handshake of a WebSocket, both halves (RFC 6455 §4). What follows it is ``gateway.websocket``'s.

An intermediary that believes in a tunnel where one of its peers does not can be made to carry hidden requests.
So nothing is forwarded that is not a whole handshake of version 13, and there is no tunnel unless the upstream
proves that it took up this very handshake (W1).

Extensions are offered to nobody and accepted from nobody: nothing is compressed on its way through the gateway,
so that every frame can be checked and every limit holds.
"""

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha1

from gateway.core.errors import BAD_REQUEST, WEBSOCKET_VERSION, GatewayError, UpstreamProtocolError
from gateway.core.headers import Headers, spelled, tokens, values

SWITCHING_PROTOCOLS = 101

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_UPGRADE: Headers = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
_HANDSHAKE = frozenset(
    b"sec-websocket-" + name for name in (b"accept", b"extensions", b"key", b"protocol", b"version")
)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def asks_for_websocket(method: str, version: str, headers: Headers, *, has_body: bool) -> bool:
    """The request is meant to open a WebSocket. Any other ``Upgrade`` is ignored, as RFC 9110 §7.8 allows.

    Names of ``headers`` are in lower case.
    """
    return (
        any(name == b"upgrade" for name, _ in headers)  # cheap before exact: every request is asked
        and method == "GET"
        and version == "1.1"
        and not has_body
        and b"websocket" in tokens(headers, b"upgrade")
        and b"upgrade" in tokens(headers, b"connection")
    )


@dataclass(frozen=True, slots=True)
class Handshake:
    """One client's opening handshake, checked."""

    _key: bytes
    _offered: list[bytes]

    @classmethod
    def read(cls, headers: Headers) -> "Handshake":
        """The handshake that a request asks for (RFC 6455 §4.2.1).

        Args:
            headers: the request's, names in lower case.

        Raises:
            GatewayError: another version than 13 (``WEBSOCKET_VERSION``), or no proper key (``BAD_REQUEST``).
        """
        if values(headers, b"sec-websocket-version") != [b"13"]:
            raise GatewayError(WEBSOCKET_VERSION)
        keys = values(headers, b"sec-websocket-key")
        if len(keys) != 1 or not _is_key(keys[0]):
            raise GatewayError(
                BAD_REQUEST.because("The request must have one Sec-WebSocket-Key of 16 bytes in base64.")
            )
        return cls(keys[0], values(headers, b"sec-websocket-protocol"))

    def without(self, headers: Headers) -> Headers:
        """``headers`` less the handshake's own fields: they are written anew, whatever ``Connection`` names."""
        return [(n, v) for n, v in headers if spelled(n) not in _HANDSHAKE]

    @property
    def request_fields(self) -> Headers:
        """The handshake's fields for the upstream. No extension is offered."""
        protocols = [(b"sec-websocket-protocol", offer) for offer in self._offered]
        return [*_UPGRADE, (b"sec-websocket-version", b"13"), (b"sec-websocket-key", self._key), *protocols]

    def response_fields(self, headers: Headers) -> Headers:
        """The handshake's fields for the client, once the upstream's 101 has been ``verify``-ed."""
        chosen = values(headers, b"sec-websocket-protocol")
        return [
            *_UPGRADE,
            (b"sec-websocket-accept", self._accept),
            *((b"sec-websocket-protocol", protocol) for protocol in chosen),
        ]

    def verify(self, headers: Headers) -> None:
        """The upstream's 101 takes up this handshake and nothing else (RFC 6455 §4.1, "client requirements").

        Raises:
            UpstreamProtocolError: there must be no tunnel.
        """
        chosen = values(headers, b"sec-websocket-protocol")
        takes_up = (
            tokens(headers, b"upgrade") == [b"websocket"]
            and b"upgrade" in tokens(headers, b"connection")
            and values(headers, b"sec-websocket-accept") == [self._accept]
            and not values(headers, b"sec-websocket-extensions")
            and len(chosen) <= 1
            and set(chosen) <= self._protocols
            and _FRAMING.isdisjoint(n.lower() for n, _ in headers)
        )
        if not takes_up:
            raise UpstreamProtocolError

    @property
    def _accept(self) -> bytes:
        return b64encode(sha1(self._key + _GUID, usedforsecurity=False).digest())

    @property
    def _protocols(self) -> set[bytes]:
        return {protocol.strip() for offer in self._offered for protocol in offer.split(b",")} - {b""}


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """How a WebSocket ended."""

    by: str
    """Who ended it: ``client``, ``upstream`` or ``gateway``."""
    code: int
    """The close code (RFC 6455 §7.4); 1005: none was given, 1006: that side vanished."""


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False
