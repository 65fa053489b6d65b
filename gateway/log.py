"""Events as log lines. No event carries a token, and a Secret is not JSON and prints as ``Secret(…)``.

Refusals, refreshes and whatever else an operator acts on are written at once. The lines of plain requests, which
there are at ``debug`` only, are written together: such a line costs 4 µs, and a write of its own as much again.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from json.encoder import encode_basestring_ascii as _quoted

import structlog

from gateway.events import Emit, Event, Noticed, RefreshEnded, RequestEnded, StoreFailed, is_plain, place
from gateway.writing import LineWriter, Turns

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error"}
_FACTS = {
    event: tuple(field.name for field in fields(event))
    for event in (RequestEnded, RefreshEnded, Noticed, StoreFailed)
}
_encode = json.JSONEncoder().encode


def configure(level: str, form: str, turns: Turns | None = None) -> "Log":
    """The log of this process, on standard error; what libraries say through ``logging`` goes there too.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        form: ``json``, ``console``, or ``auto``: console in a terminal, JSON elsewhere.
        turns: with other processes that write there.
    """
    stream = sys.__stderr__  # None: the process was started without one
    console = form == "console" or (form == "auto" and stream is not None and stream.isatty())
    descriptor = os.open(os.devnull, os.O_WRONLY) if stream is None else stream.fileno()
    told = Log(descriptor, level, console=console, turns=turns)
    for name in ("httpx", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _hear_libraries(told)
    return told


class Log:
    """Writes events, each at the level that its outcome deserves. An ``Emit``."""

    def __init__(self, descriptor: int, level: str, *, console: bool, turns: Turns | None = None) -> None:
        """Args: descriptor: is written to, and never closed; console: for people, else JSON; turns: with others."""
        self._least = _LEVELS[level]
        self._clock = _Clock()
        self._console = console
        self._out = LineWriter(descriptor, self._lost, turns)

    def __call__(self, event: Event) -> None:
        """Write it, if it is severe enough."""
        level, name = _heading(event)
        if level < self._least:
            return
        plain = level == logging.DEBUG
        if plain and isinstance(event, RequestEnded) and not self._console:
            line = _plain_json(self._clock.text(), event)
        else:
            line = self._line(level, name, _told(event))
        self._out.write(line, urgent=not plain)

    def close(self) -> None:
        """Write what is still held back. What comes later is written at once."""
        self._out.close()

    def _line(self, level: int, name: str, facts: Mapping[str, object]) -> bytes:
        entry = {"timestamp": self._clock.text(), "level": _NAMES[level], "event": name, **facts}
        return _console(entry) if self._console else _json(entry)

    def _lost(self, lines: int) -> bytes:
        return self._line(logging.ERROR, "notice", {"what": "log_lines_lost", "detail": f"lines: {lines}"})


class _Clock:
    """The time of day as text; its seconds are made only once."""

    __slots__ = ("_seconds", "_text")

    def __init__(self) -> None:
        self._seconds = 0
        self._text = ""

    def text(self) -> str:
        """RFC 3339, in UTC, with microseconds."""
        now = time.time()
        seconds = int(now)
        if seconds != self._seconds:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds))
            self._seconds = seconds
        return f"{self._text}{int((now - seconds) * 1e6):06}Z"


class _Libraries(logging.Handler):
    """What a library has to say, as an event: in our format, at our level, in one line."""

    def __init__(self, emit: Emit) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Told without its arguments and without the exception's text: anything may be quoted in them (X9)."""
        said = str(record.msg).partition("\n")[0].partition("(")[0].strip()  # asyncio quotes arguments in brackets
        error = record.exc_info[1] if record.exc_info else None
        detail = ": ".join((record.name, said, *([type(error).__name__] if error else [])))
        where = place(error) if error else ""
        self._emit(Noticed(what="library", detail=detail, alarm=record.levelno >= logging.ERROR, where=where))


def _hear_libraries(emit: Emit) -> None:
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _Libraries)]:
        root.removeHandler(earlier)
    root.addHandler(_Libraries(emit))


def _json(facts: Mapping[str, object]) -> bytes:
    """ASCII: what else a client writes is escaped (X9). Raises: TypeError: a value is no text, number or truth."""
    return _encode(facts).encode("ascii") + b"\n"


def _plain_json(now: str, event: RequestEnded) -> bytes:
    """What ``_json`` makes of a plain request, in a quarter of the time."""
    route = f'"route": {_quoted(event.route)}, ' if event.route else ""
    client = f'"client": {_quoted(event.client)}, ' if event.client else ""
    cut_by = f', "cut_by": {_quoted(event.cut_by)}' if event.cut_by else ""
    seconds = round(event.duration, 6)
    express = ', "express": true' if event.express else ""
    return (
        f'{{"timestamp": "{now}", "level": "debug", "event": "request", "request_id": {_quoted(event.request_id)}, '
        f'"method": {_quoted(event.method)}, "path": {_quoted(event.path)}, {route}"status": {event.status:d}, '
        f'"decision": {_quoted(event.decision)}, {client}"duration": {seconds}{cut_by}{express}}}\n'
    ).encode("ascii")


_people = structlog.dev.ConsoleRenderer()


def _console(facts: Mapping[str, object]) -> bytes:
    """A terminal obeys what a client writes into its path (X9): escape it, as JSON does anyway."""
    shown = {name: ascii(v)[1:-1] if isinstance(v, str) and not v.isprintable() else v for name, v in facts.items()}
    return f"{_people(None, '', shown)}\n".encode(errors="backslashreplace")


def _heading(event: Event) -> tuple[int, str]:
    """Refusals, refreshes, WebSockets and what broke off are told at ``info`` or above; what passed, below."""
    match event:
        case RequestEnded():
            return _weight(event), "request"
        case RefreshEnded():
            return (logging.INFO if event.outcome == "granted" else logging.WARNING), "refresh"
        case Noticed():
            return (logging.ERROR if event.alarm else logging.WARNING), "notice"
        case StoreFailed():
            return logging.DEBUG, "store"


def _weight(event: RequestEnded) -> int:
    if event.cut_by == "upstream" or (event.code is not None and event.status >= 500):  # noqa: PLR2004
        return logging.WARNING
    plain = is_plain(status=event.status, code=event.code, refreshed=event.refreshed, cut_by=event.cut_by)
    return logging.DEBUG if plain else logging.INFO


def _told(event: Event) -> dict[str, object]:
    """The facts that there are."""
    named = ((name, getattr(event, name)) for name in _FACTS[type(event)])
    facts = {name: value for name, value in named if value is not None and value is not False and value != ""}
    facts.pop("alarm", None)
    if "duration" in facts:
        facts["duration"] = round(facts["duration"], 6)
    return facts
