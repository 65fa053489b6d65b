"""Events as log lines. Tokens cannot get here: no event carries one, and a Secret prints as ``Secret(…)``."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict
from typing import Any

import structlog

from gateway.core.websocket import SWITCHING_PROTOCOLS
from gateway.events import Emit, Event, Noticed, RefreshEnded, RequestEnded, place

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str, form: str) -> Emit:
    """Set logging up for the process and return what writes events.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        form: ``json``, ``console``, or ``auto``: console in a terminal, JSON elsewhere.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([_printable] if console else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    for name in ("httpx", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.WARNING)
    emit = emitter(structlog.get_logger())
    _hear_libraries(emit)
    return emit


def emitter(logger: Any) -> Emit:
    """Writes events with ``logger``, each at the level that its outcome deserves."""

    def emit(event: Event) -> None:
        level, name = _heading(event)
        if logger.is_enabled_for(level):
            logger.log(level, name, **_told(event))

    return emit


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


def _printable(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A terminal obeys what a client writes into its path (X9): escape it, as JSON does anyway."""
    return {name: ascii(v)[1:-1] if isinstance(v, str) and not v.isprintable() else v for name, v in fields.items()}


def _heading(event: Event) -> tuple[int, str]:
    """Refusals, refreshes, WebSockets and what broke off are told at ``info`` or above; what passed, below."""
    match event:
        case RequestEnded():
            return _weight(event), "request"
        case RefreshEnded():
            return (logging.INFO if event.outcome == "granted" else logging.WARNING), "refresh"
        case Noticed():
            return (logging.ERROR if event.alarm else logging.WARNING), "notice"


def _weight(event: RequestEnded) -> int:
    if event.cut_by == "upstream" or (event.code is not None and event.status >= 500):  # noqa: PLR2004
        return logging.WARNING
    told = event.code is not None or event.refreshed is not None or event.cut_by == "gateway"
    return logging.INFO if told or event.status == SWITCHING_PROTOCOLS else logging.DEBUG


def _told(event: Event) -> dict[str, object]:
    fields = {k: v for k, v in asdict(event).items() if v is not None and v is not False and v != ""}
    fields.pop("alarm", None)
    if "duration" in fields:
        fields["duration"] = round(fields["duration"], 6)
    return fields
