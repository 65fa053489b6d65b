"""A client of a fleet: one connection for each request, so that a replica's death costs it one answer only."""

import asyncio
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any

from tests.house import bearer

Pair = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """One answer. Names of fields are in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of a problem."""
        return str(self.json()["code"])

    def json(self) -> Any:
        return json.loads(self.body)

    def pair(self, old: Pair) -> Pair:
        """What a client keeps after this answer."""
        return self.fields.get("x-access-token", old[0]), self.fields.get("x-refresh-token", old[1])


async def ask(port: int, pair: Pair | tuple[str, None] | None = None, path: str = "/echo") -> Answer:
    """Raises ``OSError`` or ``EOFError`` where no whole answer came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        fields = "".join(f"{name}: {value}\r\n" for name, value in bearer(pair).items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{fields}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        lines = (line.partition(":") for line in head[1:] if line)
        named = {name.strip().lower(): value.strip() for name, _, value in lines}
        body = await reader.read()
        if len(body) < int(named.get("content-length", "0")):
            raise EOFError
        return Answer(int(head[0].split()[1]), named, body)
    finally:
        writer.close()


def claims(access: str) -> dict[str, Any]:
    """Of an access token, unverified."""
    part = access.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
