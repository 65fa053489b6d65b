"""Events as log lines. Tokens cannot get here: no event carries one, and a Secret prints as ``Secret(…)``."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict
from typing import Any

import structlog

from gateway.events import Emit, Event, Noticed, RefreshEnded, RequestEnded

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
    return emitter(structlog.get_logger())


def emitter(logger: Any) -> Emit:
    """Writes events with ``logger``, each at the level that its outcome deserves."""

    def emit(event: Event) -> None:
        level, name = _heading(event)
        if logger.is_enabled_for(level):
            logger.log(level, name, **_told(event))

    return emit


def _printable(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A terminal obeys what a client writes into its path (X9): escape it, as JSON does anyway."""
    return {name: ascii(v)[1:-1] if isinstance(v, str) and not v.isprintable() else v for name, v in fields.items()}


def _heading(event: Event) -> tuple[int, str]:
    """Every refusal and every refresh is told at ``info`` or above; what merely passed, at ``debug``."""
    match event:
        case RequestEnded():
            if event.code is not None:
                return (logging.WARNING if event.status >= 500 else logging.INFO), "request"  # noqa: PLR2004
            return (logging.INFO if event.refreshed is not None else logging.DEBUG), "request"
        case RefreshEnded():
            return (logging.INFO if event.outcome == "granted" else logging.WARNING), "refresh"
        case Noticed():
            return (logging.ERROR if event.alarm else logging.WARNING), "notice"


def _told(event: Event) -> dict[str, object]:
    fields = {name: value for name, value in asdict(event).items() if value not in (None, "", False)}
    fields.pop("alarm", None)
    if "duration" in fields:
        fields["duration"] = round(fields["duration"], 6)
    return fields
