"""What a client hears on one connection: whole answers, byte for byte but for how chunks were cut, or what is left."""

import asyncio
from dataclasses import dataclass

from tests.e2e.corpus import strict
from tests.e2e.corpus.strict import Message


@dataclass(frozen=True)
class Heard:
    """One answer."""

    head: bytes
    body: bytes
    whole: bool = True
    """False: it was cut, and the client can see that."""

    def like(self, other: "Heard") -> bool:
        """The same; how much still came of an answer that was cut is a matter of time."""
        if self.whole or other.whole:
            return self == other
        if not (self.head and other.head):
            return True
        return self.head == other.head and (self.body.startswith(other.body) or other.body.startswith(self.body))

    @property
    def status(self) -> int:
        """0: so much of it never came."""
        return self.message.status if self.head else 0

    @property
    def message(self) -> Message:
        """Its fields."""
        found = strict.answer(self.head + b"\r\n\r\n", b"HEAD", ended=True)
        assert found is not None
        return found[0]

    @property
    def closes(self) -> bool:
        """It is the last one on its connection."""
        return b"\r\nconnection: close" in self.head.lower()


class Ear:
    """Reads one connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._raw = b""
        self.ended = self._reset = False

    async def answers(self, methods: list[bytes]) -> list[Heard]:
        """The answers to requests with those methods, interim ones among them, as many as come before the end.

        Behind the last answer of a connection its end is awaited; what comes before that is an answer of no status.
        """
        heard: list[Heard] = []
        for method in methods:
            while (one := await self._answer(method)) is not None:
                heard.append(one)
                if one.status >= 200:
                    break
            if one is None or one.closes:
                break
        if one is None or one.closes:
            while await self._more():
                pass
            if self._raw:
                heard.append(_left(self._raw))
        return heard

    async def _answer(self, method: bytes) -> Heard | None:
        while (found := strict.answer(self._raw, method, ended=self.ended)) is None:
            if self.ended:
                return None
            await self._more()
        message, rest = found
        head = self._raw.partition(b"\r\n\r\n")[0]
        self._raw = rest
        framed = message.values(b"content-length") or message.values(b"transfer-encoding")
        return Heard(head, message.body, message.complete or bool(framed) or not self._reset)

    async def _more(self) -> bool:
        if self.ended:
            return False
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionError:
            data, self._reset = b"", True
        self._raw += data
        self.ended = not data
        return bool(data)


def _left(raw: bytes) -> Heard:
    """The beginning of an answer."""
    head, found, rest = raw.partition(b"\r\n\r\n")
    if not found:
        return Heard(b"", raw, whole=False)
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return Heard(head, rest, whole=False)
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, 16)
        body, rest = body + rest[:count], rest[count + 2 :]
    return Heard(head, body, whole=False)
