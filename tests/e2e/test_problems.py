"""Every answer of the gateway's own that there is: its status, its code, its shape, and what it tells to do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from gateway.events import Noticed
from gateway.judge import Judge
from tests import lanes
from tests.e2e.support import code, until
from tests.e2e.wire import Answer, Script, ask, request
from tests.house import House, house, new_pair

pytestmark = lanes.BOTH

ROUTES = [
    {"match": "/optional/*", "auth": "optional"},
    {"match": "/off/*", "auth": "off"},
    {"match": "/signal/*", "on_expired": "signal"},
    {"match": "/reject/*", "on_expired": "reject"},
    {"match": "/hasty/*", "response_timeout": "50ms", "strip_prefix": "/hasty"},
]


@dataclass(frozen=True)
class Case:
    """One row of the table in CONTRACT §5."""

    status: int
    code: str
    ask: Callable[[House], Awaitable[Answer]]
    remedy: str
    """Words of the detail that say what to do."""
    closes: bool = False
    """The connection ends, because the request's end is not known."""

    def __str__(self) -> str:
        return f"{self.status} {self.code}"


def sends(*fields: str, line: str = "GET /echo", **options) -> Callable[[House], Awaitable[Answer]]:
    """A request with a good token and these fields."""
    return lambda h: ask(h, request(line, h.login(), *fields, **options))


def carries(mint: Callable[[House], tuple[str, str | None] | None], line: str = "GET /echo"):
    return lambda h: ask(h, request(line, mint(h)))


def faulty(kind: str, **options):
    """An expired token, and an authorization server that is not well."""

    async def go(h: House) -> Answer:
        h.auth.fault(kind, None, **options)
        return await ask(h, request("GET /echo", h.expired()))

    return go


async def unreachable(h: House) -> Answer:
    await h.api_server.stop()
    try:
        return await ask(h, request("GET /echo", h.login()))
    finally:
        await h.api_server.start()


CHUNKED = b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n"
CASES = [
    Case(400, "bad_request", sends("Broken header"), "Correct it", closes=True),
    Case(400, "bad_request", sends("Content-Length: 1", "Transfer-Encoding: chunked"), "Correct it", closes=True),
    Case(400, "bad_request", sends("Content-Length: 1", "Content-Length: 2"), "Correct it", closes=True),
    Case(400, "bad_request", sends("Transfer-Encoding: gzip, chunked"), "Send the body so", closes=True),
    Case(400, "bad_request", sends("Host: second.example"), "exactly one Host", closes=True),
    Case(
        400, "bad_request", sends(line="GET http://gateway/x", host="a\r\nHost: b"), "exactly one Host", closes=True
    ),
    Case(400, "bad_request", sends(host="user@host"), "not a host name", closes=True),
    Case(400, "bad_request", sends(version="0.9"), "speaks HTTP/1.1", closes=True),
    Case(400, "bad_request", sends(version="2.0"), "speaks HTTP/1.1", closes=True),
    Case(400, "bad_request", sends(line="GET *"), "must be a path", closes=True),
    Case(400, "bad_request", lambda h: ask(h, b"\x16\x03\x01\x02\x00\x01"), "Correct it", closes=True),
    Case(400, "ambiguous_path", sends(line="GET /a/../b"), "plain form"),
    Case(400, "ambiguous_credentials", sends("Authorization: Bearer x"), "exactly one of each"),
    Case(401, "missing_token", carries(lambda _: None), "Sign in"),
    Case(401, "invalid_token", carries(lambda _: ("x.y.z", None)), "Sign in again"),
    Case(401, "expired_token", carries(lambda h: (h.expired()[0], None)), "Send its refresh token"),
    Case(401, "refresh_rejected", faulty("error"), "Sign in again"),
    Case(401, "subject_mismatch", carries(lambda h: (h.expired("a")[0], h.expired("b")[1])), "Sign in again"),
    Case(404, "not_found", sends(line="GET /_gateway/nothing"), "Check the path"),
    Case(404, "not_found", sends(line="PROPFIND /_gateway/heartbeat"), "Check the path"),
    Case(413, "body_too_large", sends("Content-Length: 100", line="POST /echo", body=b"x" * 100), "smaller one"),
    Case(
        413, "body_too_large", sends("Transfer-Encoding: chunked", line="POST /upload", body=CHUNKED), "smaller one"
    ),
    Case(414, "target_too_long", sends(line="GET /" + "x" * 20_000), "Shorten it", closes=True),
    Case(
        431,
        "headers_too_large",
        sends(*(f"X-{n}: {'x' * 1000}" for n in range(40))),
        "fewer or shorter",
        closes=True,
    ),
    Case(501, "method_not_supported", sends(line="TRACE /echo"), "Use another", closes=True),
    Case(501, "method_not_supported", sends(line="CONNECT gateway.example:443"), "Use another", closes=True),
    Case(502, "upstream_unreachable", unreachable, "Try again"),
    Case(503, "auth_server_unavailable", faulty("status", status=503), "Keep both tokens"),
    Case(503, "auth_server_misconfigured", faulty("error", error="invalid_client", status=401), "Keep both tokens"),
    Case(504, "upstream_timeout", sends(line="GET /hasty/slow"), "Try again"),
    Case(511, "refresh_required", carries(lambda h: h.expired(), "GET /signal/x"), "send the request again"),
]


def check(case: Case, answer: Answer) -> None:
    """The answer is the row's, in the shape of RFC 9457, and with the fields that its status asks for."""
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"], problem["code"]) == (case.status, case.status, case.code)
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
    assert case.remedy in problem["detail"]
    assert problem["title"]
    assert problem["type"] == f"urn:evergreen:problem:{case.code}"
    assert len(problem["request_id"]) == 32
    assert answer.values(b"content-type") == [b"application/problem+json"]
    assert answer.values(b"cache-control") == [b"no-store"]
    assert bool(answer.values(b"www-authenticate")) == (case.status == 401)
    assert bool(answer.values(b"retry-after")) == (case.status == 503)
    assert (answer.values(b"connection") == [b"close"]) == case.closes


async def test_a_refusal_has_its_status_its_code_and_a_way_on(tmp_path):
    """CONTRACT §5: one row each; nothing of an address in any; the log line has the same id and code."""
    async with house(tmp_path, routes=ROUTES, server={"max_body": "50B"}) as h:
        for case in CASES:
            answer = await case.ask(h)
            try:
                check(case, answer)
            except (AssertionError, ValueError) as error:
                error.add_note(f"{case}: {answer}")
                raise
            for address in (h.api_server.url, h.auth_server.url):
                assert address.partition("://")[2].encode() not in answer.body
            request_id = json.loads(answer.body)["request_id"]
            logged = [(e.status, e.code) for e in h.requests() if e.request_id == request_id]
            assert logged == [(case.status, case.code)]
            h.auth.clear()


async def test_a_refusal_under_our_own_prefix_is_told_like_any_other(tmp_path):
    """CONTRACT §7, X9: method and path, and not the query."""
    async with house(tmp_path) as h:
        answer = await h.request("POST", "/_gateway/x%20y?canary")
        [event] = h.requests()
        assert (event.method, event.path, event.decision) == ("POST", "/_gateway/x y", "refuse")
        assert (event.status, event.code, event.request_id) == (404, "not_found", answer.json()["request_id"])


async def test_the_other_shape_says_the_same(tmp_path):
    """CONTRACT §5: ``{"code", "message", "data"}`` for front ends that expect it, headers as ever."""
    async with house(tmp_path, routes=ROUTES, errors={"envelope": "result", "realm": "shop"}) as h:
        for status, expected, path, pair in (
            (401, "missing_token", "/echo", None),
            (401, "invalid_token", "/echo", ("x", None)),
            (511, "refresh_required", "/signal/x", h.expired()),
            (404, "not_found", "/_gateway/x", None),
        ):
            answer = await h.get(path, pair)
            body = answer.json()
            assert answer.status_code == status
            assert set(body) == {"code", "message", "data"}
            assert (body["code"], body["data"]) == (status, None)
            assert expected in body["message"]
            assert answer.headers["content-type"] == "application/json"
        challenge = (await h.get("/echo", ("x", None))).headers["www-authenticate"]
        assert challenge == 'Bearer realm="shop", error="invalid_token"'
        assert b'"code": 400' in (await h.raw(b"NONSENSE\r\n\r\n"))


async def test_a_challenge_names_an_error_only_where_a_token_was_presented(tmp_path):
    """CONTRACT §5, RFC 6750 §3.1: who sent none has made no error."""
    async with house(tmp_path) as h:
        refresh = h.login()[1]
        silent = [{}, {"X-Refresh-Token": refresh}]
        presented = [{"Authorization": value} for value in ("Bearer x", "Basic YTpi", "Bearer", "Digest x")]
        for fields in silent:
            answer = await h.get("/echo", headers=fields)
            assert (code(answer), answer.headers["www-authenticate"]) == ("missing_token", 'Bearer realm="gateway"')
        for fields in presented:
            answer = await h.get("/echo", headers=fields)
            assert code(answer) == "invalid_token"
            assert answer.headers["www-authenticate"] == 'Bearer realm="gateway", error="invalid_token"'
        assert h.api.count == 0


async def test_too_many_unknown_refresh_tokens_are_refused_with_a_time_to_come_back(tmp_path):
    """CONTRACT §5, D3: 429 ``rate_limited``; a client with a good token is not affected."""
    async with house(tmp_path, refresh={"unknown_burst": 1, "unknown_per_second": 0.01}) as h:
        first = await h.get("/echo", (h.expired()[0], "guess-1"))
        second = await h.get("/echo", (h.expired()[0], "guess-2"))
        assert (code(first), code(second), second.status_code) == ("refresh_rejected", "rate_limited", 429)
        assert int(second.headers["retry-after"]) > 1
        assert "Wait" in second.json()["detail"]
        assert (await h.get("/echo", h.login())).status_code == 200


async def test_an_upstream_with_too_many_waiting_is_overloaded(tmp_path):
    """CONTRACT §5: 503 ``overloaded`` at once, with Retry-After."""
    async with house(tmp_path, upstream={"max_connections": 1, "max_waiting": 0}) as h:
        busy = asyncio.create_task(h.get("/slow?seconds=30", h.login()))
        await until(lambda: h.api.active)
        pair = h.expired()
        answer = await h.get("/echo", pair)
        assert (answer.status_code, code(answer)) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert new_pair(answer, pair)[0] != pair[0]
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_an_upstream_that_does_not_speak_http_is_a_protocol_error(tmp_path):
    """CONTRACT §5, B17: 502, and nothing of what it said."""
    async with (
        Script.saying(b"SSH-2.0-secret\r\n\r\n") as script,
        house(tmp_path, upstream={"url": script.url}) as h,
    ):
        pair = h.expired()
        answer = await h.get("/echo", pair)
        assert (answer.status_code, code(answer)) == (502, "upstream_protocol_error")
        assert "secret" not in answer.text
        assert new_pair(answer, pair)[0] != pair[0]


@pytest.mark.parametrize("where", ["known", "judge"])
async def test_a_bug_in_the_judging_forwards_nothing(tmp_path, monkeypatch, where):
    """O2: 500 ``internal_error``, an alarm, and the API hears nothing; the next request is served."""

    async def broken(*_: object) -> None:
        raise RuntimeError("canary")

    def broken_at_once(*_: object) -> None:
        raise RuntimeError("canary")

    async with house(tmp_path) as h:
        with monkeypatch.context() as patch:
            patch.setattr(Judge, where, broken if where == "judge" else broken_at_once)
            answer = await h.get("/echo", h.login())
        assert (answer.status_code, code(answer)) == (500, "internal_error")
        assert "request id" in answer.json()["detail"]
        assert "canary" not in answer.text
        assert "canary" not in repr(h.events)
        [notice] = [e for e in h.events if isinstance(e, Noticed)]
        assert (notice.what, notice.detail) == ("internal_error", "RuntimeError")
        assert notice.where.startswith("edge/")
        assert notice.request_id == answer.json()["request_id"] == h.requests()[0].request_id
        assert h.api.count == 0
        assert (await h.get("/echo", h.login())).status_code == 200


async def test_a_bug_in_a_refresh_answers_all_who_wait_for_it(tmp_path, monkeypatch):
    """O2: everyone gets 500, nothing is forwarded; the token still works once the bug is gone."""

    async def broken(*_: object) -> None:
        raise RuntimeError("canary")

    async with house(tmp_path) as h:
        with monkeypatch.context() as patch:
            patch.setattr(Judge, "granted", broken)
            pair = h.expired()
            answers = await asyncio.gather(*(h.get("/echo", pair) for _ in range(5)))
        assert {(a.status_code, code(a)) for a in answers} == {(500, "internal_error")}
        assert "canary" not in repr(h.events)
        assert h.api.count == 0
        assert (await h.get("/echo", h.expired("bob"))).status_code == 200
