"""The log: one line for each event, at the level that it deserves, whatever a client has written into it."""

import json
import logging
from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

import pytest

from gateway import log
from gateway.core.secret import Secret
from gateway.events import Event, Noticed, RefreshEnded, RequestEnded, StoreFailed

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


def lines(capfd, level: str, form: str, *events: Event) -> list[str]:
    emit = log.configure(level, form)
    for event in events:
        emit(event)
    emit.close()
    out, err = capfd.readouterr()
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
    (StoreFailed(operation="renew", reason="timeout"), "debug", "store"),
]


def test_every_event_is_one_object_on_one_line(capfd):
    """CONTRACT §6: for machines; each says when, how bad, and what."""
    written = lines(capfd, "debug", "json", *(event for event, _, _ in EVENTS))
    assert len(written) == len(EVENTS)
    for line, (_, level, name) in zip(written, EVENTS, strict=True):
        entry = json.loads(line)
        assert (entry["level"], entry["event"]) == (level, name)
        assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_what_is_less_severe_is_not_written(capfd, level):
    """CONTRACT §6: log.level."""
    order = ["debug", "info", "warning", "error"]
    expected = [own for _, own, _ in EVENTS if order.index(own) >= order.index(level)]
    written = lines(capfd, level, "json", *(event for event, _, _ in EVENTS))
    assert [json.loads(line)["level"] for line in written] == expected


def test_a_line_holds_the_facts_and_leaves_out_what_there_is_not(capfd):
    """An operator searches for a status, an outcome, a code; a client that left without an answer has status 0."""
    full, gone, refresh = lines(
        capfd,
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
def test_what_a_client_writes_makes_no_line_and_moves_no_cursor(capfd, form):
    """X9: line ends, escape sequences and bidirectional marks are escaped."""
    path = "/a\r\nerror forged=1\x1b[2J\x00\u202e\x9b31m\x7f"
    (line,) = lines(capfd, "debug", form, request(path=path, method="GET"))
    assert "forged=1" in line
    assert not {c for c in line if not c.isprintable() and c != "\x1b"}
    assert "\x1b[2J" not in line


def test_the_console_is_for_people(capfd):
    """CONTRACT §6: what happened is readable as it stands."""
    (line,) = lines(capfd, "info", "console", RefreshEnded(outcome="granted", duration=0.5))
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        json.loads(line)
    assert "refresh" in line
    assert "granted" in line


def test_auto_is_for_machines_where_nobody_looks(capfd):
    """CONTRACT §6: standard error is no terminal here."""
    (line,) = lines(capfd, "info", "auto", Noticed(what="x"))
    assert json.loads(line)["what"] == "x"


def test_a_secret_that_gets_this_far_gets_no_further_for_machines(capfd):
    """X9: it is no JSON."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        lines(capfd, "debug", "json", Noticed(what="x", detail=Secret(CANARY)))
    with pytest.raises(TypeError, match="must be a string, not Secret"):
        lines(capfd, "debug", "json", request(path=Secret(CANARY)))
    assert capfd.readouterr().err == ""


def test_a_secret_that_gets_this_far_gets_no_further_for_people(capfd):
    """X9"""
    (line,) = lines(capfd, "debug", "console", Noticed(what="x", detail=Secret(CANARY)))
    assert "Secret(" in line
    assert CANARY not in line


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"route": ""},
        {"client": "2001:db8::1", "duration": 1.23456789},
        {"duration": 0.0000012},
        {"status": 0, "cut_by": "client"},
        {"express": True},
        {"path": '/a"\\\r\n\x1b\x7f\x9b\xe9\u202e'},
    ],
)
def test_the_line_of_a_plain_request_is_what_any_other_event_makes(capfd, changes):
    """It has a renderer of its own, for speed: a request that is told for its code differs in nothing else."""
    plain, other = lines(capfd, "debug", "json", request(**changes), request(**changes, code="x"))
    expected = json.loads(other)
    assert (expected.pop("code"), expected.pop("level")) == ("x", "info")
    entry = json.loads(plain)
    assert (entry.pop("level"), entry.pop("timestamp")) == ("debug", ANY)
    del expected["timestamp"]
    assert list(entry.items()) == list(expected.items())
    assert plain.count(": ") == other.count(": ") - 1


def test_the_time_is_that_of_the_event_in_utc(capfd):
    before = datetime.now(UTC)
    (line,) = lines(capfd, "debug", "json", request())
    told = datetime.fromisoformat(json.loads(line)["timestamp"])
    assert before - timedelta(milliseconds=1) <= told <= datetime.now(UTC)


def test_the_seconds_of_another_line_are_not_told(capfd):
    """Their text is kept, for as long as they last."""
    emit = log.configure("debug", "json")
    emit(request())
    emit._clock._seconds, emit._clock._text = 1, "1970-01-01T00:00:01."
    emit(request())
    first, second = (json.loads(line)["timestamp"] for line in capfd.readouterr().err.splitlines())
    assert first < second


async def test_plain_lines_wait_for_each_other_and_those_that_matter_for_nothing(capfd):
    """In their order: what was held back goes first."""
    emit = log.configure("debug", "json")
    emit(request(path="/1"))
    emit(request(path="/2"))
    assert capfd.readouterr().err == ""
    emit(request(path="/3", status=401, code="invalid_token"))
    assert [json.loads(line)["path"] for line in capfd.readouterr().err.splitlines()] == ["/1", "/2", "/3"]
    for event, level, _ in EVENTS:
        emit(event)
        assert bool(capfd.readouterr().err) == (level != "debug")
        emit.close()
        capfd.readouterr()


def test_libraries_that_quote_urls_and_headers_are_silenced(capfd):
    """X9, trap 11: httpx tells full URLs at INFO, httpcore whole headers at DEBUG."""
    log.configure("debug", "json")
    for name in ("httpx", "httpcore.http11", "httpcore.connection"):
        logging.getLogger(name).info("GET https://auth.example/refresh?refreshToken=%s", CANARY)
        logging.getLogger(name).debug("send_request_headers.started %r", [("authorization", CANARY)])
    assert capfd.readouterr().err == ""
