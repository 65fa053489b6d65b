"""Frames of a WebSocket (RFC 6455 §5) as an intermediary needs them: one by one, checked, and not re-cut.

wsproto's frame layer reads them. Its ``Connection`` on top of that is made for endpoints: it moves the bounds of
text fragments to whole characters, answers nothing but what it knows (1014, "bad gateway", it refuses), and says
nothing of a frame that is only begun.
"""

import os
import struct
from dataclasses import dataclass
from typing import cast

from wsproto.frame_protocol import Frame as Piece
from wsproto.frame_protocol import FrameDecoder, MessageDecoder, Opcode, ParseFailed, XorMaskerSimple

WHOLE = 64 * 1024
"""Bytes: a frame up to this size goes on as it is, though TCP may have cut it; a larger one as fragments of at
least this size, so that no frame costs more memory than one read and this."""

PROTOCOL_ERROR = 1002
INVALID_DATA = 1007
TOO_BIG = 1009

_MASK = 0x80
_FIN = 0x80
_SHORT = 125
_MEDIUM = 0xFFFF


class Violation(Exception):  # noqa: N818  # named for what the peer did
    """The peer broke the protocol; ``close`` is what it is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.close = Close(code, reason.encode())


@dataclass(frozen=True, slots=True)
class Close:
    """The content of a Close frame (RFC 6455 §5.5.1)."""

    code: int | None = None
    """None: absent. That is 1005 to an application and never on the wire."""
    reason: bytes = b""

    @classmethod
    def read(cls, payload: bytes) -> "Close":
        """The content of a received frame.

        Raises:
            Violation: half a code, one that must not be sent (RFC 6455 §7.4), or a reason that is no UTF-8.
        """
        if not payload:
            return cls()
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not _may_be_sent(code):
            raise Violation(PROTOCOL_ERROR, "invalid close code")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise Violation(INVALID_DATA, "close reason is not UTF-8") from None
        return cls(code, payload[2:])

    @property
    def payload(self) -> bytes:
        """As it goes on the wire."""
        return b"" if self.code is None else struct.pack("!H", self.code) + self.reason


def _may_be_sent(code: int) -> bool:
    """RFC 6455 §7.4.2 and IANA's registry, where 1012 to 1014 were added; 1004 has no meaning, 1005 none here."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or a fragment of one that is too large to hold."""

    opcode: Opcode
    payload: bytes
    fin: bool = True


class FrameReader:
    """Bytes in, frames out."""

    def __init__(self, *, masked: bool, max_message: int = 0) -> None:
        """Args:
        masked: the peer is a client, whose frames must be masked; a server's must not (RFC 6455 §5.1).
        max_message: bytes; 0: any.
        """
        self._decoder = FrameDecoder(client=not masked)
        self._messages = MessageDecoder()
        self._max_message = max_message
        self._message = 0
        self._begun = False
        self._held = bytearray()
        self._opcode = Opcode.CONTINUATION

    def feed(self, data: bytes) -> None:
        """Take what the peer sent."""
        self._decoder.receive_bytes(data)

    def next(self) -> Frame | None:
        """The next frame; None: feed more.

        Raises:
            Violation: of RFC 6455 §5 or §8.1, or of ``max_message``.
        """
        try:
            while (piece := self._decoder.process_buffer()) is not None:
                if piece.opcode.iscontrol():
                    return Frame(piece.opcode, cast("bytes", piece.payload))
                if (frame := self._assembled(piece)) is not None:
                    return frame
        except ParseFailed as failed:
            reason = "invalid UTF-8" if failed.code == INVALID_DATA else "protocol error"
            raise Violation(int(failed.code), reason) from None
        return None

    def _assembled(self, piece: Piece) -> Frame | None:
        self._messages.process_frame(piece)  # judges the order of fragments and the UTF-8 of text
        payload = cast("bytes", piece.payload)
        self._account(len(payload), last=piece.frame_finished and piece.message_finished)
        if not self._begun:
            self._begun, self._opcode = True, piece.opcode
        self._held += payload
        if not piece.frame_finished and len(self._held) < WHOLE:
            return None
        frame = Frame(self._opcode, bytes(self._held), piece.frame_finished and piece.message_finished)
        self._held.clear()
        self._begun = False
        return frame

    def _account(self, size: int, *, last: bool) -> None:
        self._message += size
        header = self._decoder.header
        announced = 0 if header is None else header.payload_len - self._decoder.payload_consumed
        if self._max_message and self._message + announced > self._max_message:
            raise Violation(TOO_BIG, "message too big")
        if last:
            self._message = 0


class FrameWriter:
    """Frames in, bytes out. ``masked``: we are the client."""

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked

    def write(self, frame: Frame) -> bytes:
        """One frame (RFC 6455 §5.2)."""
        size = len(frame.payload)
        mask = _MASK if self._masked else 0
        first = frame.opcode | (_FIN if frame.fin else 0)
        if size <= _SHORT:
            head = struct.pack("!BB", first, mask | size)
        elif size <= _MEDIUM:
            head = struct.pack("!BBH", first, mask | 126, size)
        else:
            head = struct.pack("!BBQ", first, mask | 127, size)
        if not self._masked:
            return head + frame.payload
        key = os.urandom(4)  # RFC 6455 §5.3: fresh and unpredictable for each frame
        return b"".join((head, key, XorMaskerSimple(key).process(bytearray(frame.payload))))
