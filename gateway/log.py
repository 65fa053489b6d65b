"""Events as log lines. Tokens cannot get here: no event carries one, and a Secret prints as ``Secret(…)``."""

import logging
import sys
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
        fields = {name: value for name, value in asdict(event).items() if value not in (None, "", False)}
        match event:
            case RequestEnded():
                fields["duration"] = round(event.duration, 6)
                _request_level(logger, event)("request", **fields)
            case RefreshEnded():
                fields["duration"] = round(event.duration, 6)
                level = logger.info if event.outcome == "granted" else logger.warning
                level("refresh", **fields)
            case Noticed():
                level = logger.error if event.alarm else logger.warning
                level("notice", **{k: v for k, v in fields.items() if k != "alarm"})

    return emit


def _request_level(logger: Any, event: RequestEnded) -> Any:
    """Every refusal and every refresh is told at ``info``; what merely passed, at ``debug``."""
    if event.status >= 500 and event.code is not None:  # noqa: PLR2004
        return logger.warning
    return logger.info if event.code is not None or event.refreshed is not None else logger.debug
