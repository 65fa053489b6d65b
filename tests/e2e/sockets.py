"""WebSockets for tests: a server of the library ``websockets``, and a client that says exactly what a test says."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.e2e.raw_client import Answer, Conversation, connected, head_bytes
from tests.house import House, house
from tests.websocket.wire import frame

TEXT, BINARY, MORE, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HANDSHAKE = [
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", KEY),
]
OPEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)
"""The answer to ``handshake``."""


@dataclass
class Witness:
    """What the application behind one WebSocket saw: fragments or whole messages, and its end."""

    heard: list[Any] = field(default_factory=list)
    code: int | None = None
    reason: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Api:
    """A server on a port of its own."""

    server: Server
    witnesses: list[Witness] = field(default_factory=list)
    requests: list[dict[str, list[str]]] = field(default_factory=list)
    """The fields of each handshake, names in lower case."""

    @property
    def port(self) -> int:
        port: int = next(iter(self.server.sockets)).getsockname()[1]
        return port


async def behave(ws: ServerConnection, witness: Witness) -> None:
    """``/echo``: each message back, fragment by fragment; ``/close``: with the code and reason that a message names;
    ``/vanish``: without a word; ``/push``: a message of so many bytes; ``/count``: hashes of what comes."""
    path = ws.request.path.partition("?")[0]
    while True:
        if path == "/echo":
            fragments: list[Any] = [fragment async for fragment in ws.recv_streaming()]
            witness.heard.append(fragments)
            await ws.send(_each(fragments) if len(fragments) > 1 else fragments[0])
            continue
        message = await ws.recv()
        if path == "/count":
            data = message.encode() if isinstance(message, str) else message
            witness.heard.append((type(message).__name__, len(data), hashlib.sha256(data).hexdigest()))
            await ws.send(message)
        elif path == "/close":
            code, _, reason = str(message).partition(" ")
            await ws.close(int(code), reason)
        elif path == "/vanish":
            ws.transport.abort()
            return


async def _each(fragments: list[Any]) -> AsyncIterator[Any]:
    for fragment in fragments:
        yield fragment


@asynccontextmanager
async def api(**how: Any) -> AsyncIterator[Api]:
    """The server. ``how`` is for ``websockets``."""

    async def handler(ws: ServerConnection) -> None:
        witness = Witness()
        found.witnesses.append(witness)
        fields: dict[str, list[str]] = {}
        for name, value in ws.request.headers.raw_items():
            fields.setdefault(name.lower(), []).append(value)
        found.requests.append(fields)
        try:
            await behave(ws, witness)
        except ConnectionClosed:
            pass
        finally:
            await ws.wait_closed()
            witness.code, witness.reason = ws.close_code, ws.close_reason
            witness.over.set()

    settings = {"compression": None, "max_size": None, "ping_interval": None, "close_timeout": 5} | how
    async with serve(handler, "127.0.0.1", 0, **settings) as server:
        found = Api(server)
        yield found


@asynccontextmanager
async def before(
    tmp_path: Path, how: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[House, Api]]:
    """A gateway in front of such a server; ``more`` is as for ``house``."""
    upstream = more.pop("upstream", {})
    async with (
        api(**(how or {})) as behind,
        house(tmp_path, upstream={"url": f"http://127.0.0.1:{behind.port}", **upstream}, **more) as h,
    ):
        yield h, behind


@dataclass
class Heard:
    """One frame from the server."""

    opcode: int
    payload: bytes
    fin: bool = True

    @property
    def code(self) -> int | None:
        """Of a Close frame."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


class Talk:
    """One WebSocket, from the client's side."""

    def __init__(self, conversation: Conversation, answer: Answer) -> None:
        self.conversation = conversation
        self.answer = answer

    async def say(self, *frames: bytes) -> None:
        await self.conversation.send(b"".join(frames))

    async def hear(self) -> Heard | None:
        """The next frame; None: the connection has ended."""
        head = await self.conversation.exactly(2)
        if len(head) < 2:
            return None
        assert not head[1] & 0x80
        assert not head[0] & 0x70
        size = head[1]
        if size >= 126:
            size = int.from_bytes(await self.conversation.exactly(2 if size == 126 else 8), "big")
        payload = await self.conversation.exactly(size)
        return Heard(head[0] & 0x0F, payload, bool(head[0] & 0x80)) if len(payload) == size else None

    async def rest(self) -> list[Heard]:
        """All frames to the end. A Close is answered in kind, as RFC 6455 §5.5.1 asks."""
        frames, answered = [], False
        while (one := await self.hear()) is not None:
            frames.append(one)
            if one.opcode == CLOSE and not answered:
                answered = True
                await self.say(frame(CLOSE, one.payload))
        return frames


def handshake(
    path: str = "/echo",
    pair: tuple[str, str | None] | None = None,
    *fields: tuple[bytes, bytes],
) -> bytes:
    """A proper handshake's bytes; ``fields`` come after ours."""
    return head_bytes("GET", path, pair, [*HANDSHAKE, *fields])


async def switched(conversation: Conversation) -> Answer:
    """The next answer; a 101 is final here, and has no body."""
    lines = (await conversation._until(b"\r\n\r\n")).split(b"\r\n")
    fields = [line.split(b": ", 1) for line in lines[1:]]
    answer = Answer(int(lines[0].split(b" ")[1]), [(n, v) for n, v in fields])
    if answer.status != 101:
        await conversation.read_body(answer)
    return answer


@asynccontextmanager
async def opened(
    where: House | Api,
    path: str = "/echo",
    pair: tuple[str, str | None] | None = None,
    *fields: tuple[bytes, bytes],
) -> AsyncIterator[Talk]:
    """A WebSocket to a gateway, or straight to its upstream."""
    async with connected(where) as conversation:
        await conversation.send(handshake(path, pair, *fields))
        answer = await switched(conversation)
        assert answer.status == 101, answer
        yield Talk(conversation, answer)


async def echoes(talk: Talk, text: bytes = b"hello") -> bool:
    """The words come back."""
    await talk.say(frame(TEXT, text))
    return await talk.hear() == Heard(TEXT, text)


async def refused(h: House, pair: tuple[str, str | None] | None, path: str = "/echo") -> tuple[int, str, Answer]:
    """Status, code and the rest of an answer of the gateway's own to a handshake."""
    async with connected(h) as client:
        await client.send(handshake(path, pair))
        answer = await switched(client)
        return answer.status, json.loads(answer.body)["code"], answer
