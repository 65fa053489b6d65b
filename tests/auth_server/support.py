"""Servers on real sockets that misbehave on purpose, keys, and tokens made with them."""

import asyncio
import base64
import contextlib
import functools
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.auth_server.outbound import Outbound
from gateway.auth_server.token_transport import TokenTransport
from gateway.upstream import FreshConnections

ISSUER = "https://as.example"


def outbound(ca_file=None):
    """What fetches documents."""
    return Outbound(_tls(ca_file, os.environ.get("SSL_CERT_FILE")))


def token_transport(ca_file=None):
    """What carries tokens, composed as the gateway does."""
    return TokenTransport(FreshConnections(_tls(ca_file, os.environ.get("SSL_CERT_FILE"))))


@functools.cache
def _tls(ca_file, _environment) -> ssl.SSLContext:
    """Reading the system's authorities takes as long as a test does."""
    return ssl.create_default_context(cafile=ca_file)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Seen:
    """What a server was sent."""

    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, port: int = 0, **options: Any) -> AsyncIterator[tuple[str, Seen]]:
    """A server that hands each whole request to ``handler`` and then closes the connection."""
    seen = Seen()
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        seen.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(ln[15:]) for ln in head.lower().split(b"\r\n") if ln.startswith(b"content-length:")), 0
            )
            seen.requests.append(head + await reader.readexactly(length))
            await handler(seen.requests[-1], writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", port, **options)
    scheme = "https" if options.get("ssl") else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def reply(document: object, status: int = 200, *fields: str) -> bytes:
    """A whole HTTP response."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


def answering(*documents: bytes) -> Handler:
    """Gives the answers one after the other, and then the last one again. Empty bytes: closes without one."""
    left = list(documents)

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return handler


async def hanging(_: bytes, __: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, **members: object) -> dict[str, object]:
    """The public JWK of a private key."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind = next((k for base, k in kinds.items() if isinstance(key, base)), OKPAlgorithm)
    made = kind.to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return made | members


def claims(**changes: object) -> dict[str, object]:
    base = {"iss": ISSUER, "sub": "alice", "aud": "api", "exp": int(time.time()) + 300}
    return {name: value for name, value in (base | changes).items() if value is not ...}


def token(key: Any = None, alg: str = "RS256", header: dict[str, object] | None = None, **changes: object) -> str:
    """A signed token; ``...`` leaves a claim out."""
    return signed(json.dumps(claims(**changes)).encode(), key, alg, header)


def signed(payload: bytes, key: Any = None, alg: str = "RS256", header: dict[str, object] | None = None) -> str:
    """Any payload under any header, signed as ``alg`` says and not as the header says."""
    head = {"alg": alg, "typ": "JWT"} | (header or {})
    parts = b".".join(b64(part) for part in (json.dumps(head).encode(), payload))
    signer = jwt.PyJWS().get_algorithm_by_name(alg)
    return (parts + b"." + b64(signer.sign(parts, rsa_key() if key is None else key))).decode()


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
