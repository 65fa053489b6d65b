"""The log: one line for each event, at the level that it deserves, whatever a client has written into it."""

import json
import logging

import pytest
import structlog

from gateway import log
from gateway.core.secret import Secret
from gateway.events import Event, Noticed, RefreshEnded, RequestEnded

CANARY = "canary-of-a-token"


def request(**changes) -> RequestEnded:
    facts = {"request_id": "1", "method": "GET", "path": "/x", "route": "/*", "status": 200, "decision": "forward"}
    return RequestEnded(**(facts | changes))


@pytest.fixture(autouse=True)
def libraries():
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    known = [root, *(logging.getLogger(name) for name in ("httpx", "httpcore", "hpack"))]
    before = [(logger, logger.level, list(logger.handlers)) for logger in known]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    structlog.reset_defaults()


def lines(capsys, level: str, form: str, *events: Event) -> list[str]:
    emit = log.configure(level, form)
    for event in events:
        emit(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


EVENTS = [
    (request(), "debug", "request"),
    (request(status=0), "debug", "request"),
    (request(status=404), "debug", "request"),
    (request(status=503), "debug", "request"),
    (request(refreshed="expired"), "info", "request"),
    (request(status=401, code="invalid_token", decision="refuse"), "info", "request"),
    (request(status=502, code="upstream_unreachable"), "warning", "request"),
    (RefreshEnded(outcome="granted", duration=0.25), "info", "refresh"),
    (RefreshEnded(outcome="denied", reason="invalid_grant"), "warning", "refresh"),
    (RefreshEnded(outcome="unavailable", ambiguous=True), "warning", "refresh"),
    (Noticed(what="scope_widened"), "warning", "notice"),
    (Noticed(what="subject_mismatch", detail="the grant is revoked", alarm=True), "error", "notice"),
]


def test_every_event_is_one_object_on_one_line(capsys):
    """CONTRACT §6: for machines; each says when, how bad, and what."""
    written = lines(capsys, "debug", "json", *(event for event, _, _ in EVENTS))
    assert len(written) == len(EVENTS)
    for line, (_, level, name) in zip(written, EVENTS, strict=True):
        entry = json.loads(line)
        assert (entry["level"], entry["event"]) == (level, name)
        assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_what_is_less_severe_is_not_written(capsys, level):
    """CONTRACT §6: log.level."""
    order = ["debug", "info", "warning", "error"]
    expected = [own for _, own, _ in EVENTS if order.index(own) >= order.index(level)]
    written = lines(capsys, level, "json", *(event for event, _, _ in EVENTS))
    assert [json.loads(line)["level"] for line in written] == expected


def test_a_line_holds_the_facts_and_leaves_out_what_there_is_not(capsys):
    """An operator searches for a status, an outcome, a code; a client that left without an answer has status 0."""
    full, gone, refresh = lines(
        capsys,
        "debug",
        "json",
        request(status=503, code="overloaded", reason="why", refreshed="joined", duration=0.12345678),
        request(status=0),
        RefreshEnded(outcome="denied", ambiguous=True, duration=1.5),
    )
    entry = json.loads(full)
    assert (entry["status"], entry["code"], entry["reason"]) == (503, "overloaded", "why")
    assert (entry["refreshed"], entry["duration"]) == ("joined", 0.123457)
    entry = json.loads(gone)
    assert entry["status"] == 0
    assert entry.keys().isdisjoint({"code", "reason", "refreshed"})
    assert json.loads(refresh)["ambiguous"] is True


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_a_client_writes_makes_no_line_and_moves_no_cursor(capsys, form):
    """X9: line ends, escape sequences and bidirectional marks are escaped."""
    path = "/a\r\nerror forged=1\x1b[2J\x00\u202e\x9b31m\x7f"
    (line,) = lines(capsys, "debug", form, request(path=path, method="GET"))
    assert "forged=1" in line
    assert not {c for c in line if not c.isprintable() and c != "\x1b"}
    assert "\x1b[2J" not in line


def test_the_console_is_for_people(capsys):
    """CONTRACT §6: what happened is readable as it stands."""
    (line,) = lines(capsys, "info", "console", RefreshEnded(outcome="granted", duration=0.5))
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        json.loads(line)
    assert "refresh" in line
    assert "granted" in line


def test_auto_is_for_machines_where_nobody_looks(capsys):
    """CONTRACT §6: standard error is no terminal here."""
    (line,) = lines(capsys, "info", "auto", Noticed(what="x"))
    assert json.loads(line)["what"] == "x"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_secret_that_gets_this_far_gets_no_further(capsys, form):
    """X9: not by an event, not by a logger."""
    emit = log.configure("debug", form)
    with pytest.raises(TypeError, match="not pickled"):
        emit(Noticed(what="x", detail=Secret(CANARY)))
    structlog.get_logger().error("direct", value=Secret(CANARY), values=[Secret(CANARY)])
    written = capsys.readouterr().err
    assert "Secret(…)" in written or "Secret(\\u2026)" in written
    assert CANARY not in written


def test_libraries_that_quote_urls_and_headers_are_silenced(capsys):
    """X9, trap 11: httpx tells full URLs at INFO, httpcore whole headers at DEBUG."""
    log.configure("debug", "json")
    for name in ("httpx", "httpcore.http11", "httpcore.connection"):
        logging.getLogger(name).info("GET https://auth.example/refresh?refreshToken=%s", CANARY)
        logging.getLogger(name).debug("send_request_headers.started %r", [("authorization", CANARY)])
    assert capsys.readouterr().err == ""
