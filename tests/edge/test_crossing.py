"""An answer's fields on their way to the client: the lines that are written are the pairs, whatever is remembered."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answers import AnswerFields, answer_fields
from gateway.core.cors import CorsPolicy
from gateway.core.credentials import Carried
from gateway.core.forwarding import Peer
from gateway.core.headers import ResponseFilter, TokenNames
from gateway.core.hops import Via
from gateway.core.lifecycle import Absent
from gateway.core.policy import Policy
from gateway.core.routes import Rule
from gateway.edge.cors import OwnCors, PassedCors
from gateway.edge.crossing import answer_lines, response_fields
from gateway.edge.passage import Passage
from gateway.edge.upstreams import Target
from gateway.upstream.heads import Heads

APP = b"https://app.example"
POLICY = CorsPolicy(
    origins=frozenset({APP}), methods=b"GET", headers=b"a", expose=b"b", credentials=True, max_age=1
)
HEADS = Heads()


def fittings(*, own_cors: bool) -> SimpleNamespace:
    cors = OwnCors(POLICY) if own_cors else PassedCors(b"X-Access-Token", b"x-refresh-token")
    return SimpleNamespace(
        cors=cors, via=Via("us"), response_filter=ResponseFilter(TokenNames(), own_cors=own_cors), vary=b"x"
    )


FITTINGS = {own_cors: fittings(own_cors=own_cors) for own_cors in (False, True)}
TARGETS = {
    (own_cors, preserved): Target(
        name="", send=None, begin=None, filter=None, authority=b"api", preserve_host=preserved
    )
    for own_cors in (False, True)
    for preserved in (False, True)
}
"""Of all examples: what one of them leaves behind is there for the next. Of one gateway: it has one set of rules."""


def asked(target=TARGETS[False, True], origin=None, *, preflight=False, host=b"public") -> Passage:
    peer = Peer(client="192.0.2.1", scheme=b"https", host=host, fields=[])
    passage = Passage(Rule(), target, peer, Policy(), Carried(Absent.MISSING, None), origin=origin)
    passage.preflight = preflight
    return passage


def answered(*lines: bytes, status: int = 200, times: int = 2) -> SimpleNamespace:
    """An answer as the upstream's client gives it; equal ones have the same head from the second time on."""
    data = b"\r\n".join((b"HTTP/1.1 %d OK" % status, *lines, b"", b""))
    for _ in range(times):
        head = HEADS.look(data)
        if isinstance(head, bytes):
            head = HEADS.read(status, data[:-4])
            HEADS.learn(data, head)
    return SimpleNamespace(received=head, headers=head.headers, status=head.status, http_version=head.version)


def said(fields: AnswerFields) -> tuple[bytes, int | None, bool]:
    return fields.lines, fields.length, fields.closes


LINES = st.lists(
    st.sampled_from(
        [
            *(b"Date: Fri, 21 Nov 2025 16:43:00 GMT", b"content-type: a/b", b"ETag: x", b"Server: x"),
            *(b"Connection: keep-alive", b"connection: close, etag", b"Keep-Alive: timeout=5", b"X-Empty: "),
            *(b"Location: http://api/a", b"Location: /a", b"X-Access-Token: evil", b"Set-Cookie: a=b", b"Vary: *"),
            *(b"Access-Control-Allow-Origin: " + APP, b"access-control-allow-credentials: true", b"Vary: Origin"),
        ]
    ),
    unique=True,
    max_size=6,
)
LENGTHS = st.sampled_from([[], [b"Content-Length: 5"]])


@given(
    LINES, LENGTHS, st.sampled_from([200, 204, 302, 304]), st.sampled_from([None, APP, b"https://other"]), st.booleans(),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_what_is_written_is_what_crosses(lines, length, status, origin, preflight, own_cors, preserved):  # noqa: PLR0917
    """P8, P9, P10, C2, C3, X4: heads that came before, and heads that did not."""
    fit, ask = FITTINGS[own_cors], asked(TARGETS[own_cors, preserved], origin, preflight=preflight)
    for _ in range(3):
        answer = answered(*lines, *length, status=status, times=1)
        before = answer_fields(response_fields(fit, ask, answer, [], None))
        written = answer_lines(fit, ask, answer)
        after = answer_fields(response_fields(fit, ask, answer, [], None))  # the second may have ended
        assert said(written) in {said(before), said(after)}


def test_what_is_remembered_is_known_by_all_that_it_was_made_of():
    """C3: the page, and whether it only asks; X4 and P9 are in every line of it."""
    answer = answered(b"Date: now", b"Content-Length: 1", b"Access-Control-Allow-Origin: " + APP)
    fit, target = fittings(own_cors=False), Target(name="", send=None, begin=None, filter=None)
    asks = [asked(target, APP), asked(target, APP, preflight=True), asked(target), asked(target, b"https://other")]
    first, again = ([answer_lines(fit, ask, answer).lines for ask in asks] for _ in range(2))
    assert first == again
    assert len(set(first)) == 3  # no page and another page get the same
    assert len(target.answers) == 3
    assert b"access-control-expose-headers" in first[0]
    assert b"access-control-allow-headers" in first[1]


def test_an_allowance_is_learnt_from_remembered_answers_too():
    """C3: our own errors say what the upstream said."""
    answer = answered(b"Date: now", b"Content-Length: 2", b"Access-Control-Allow-Origin: " + APP)
    target = Target(name="", send=None, begin=None, filter=None)
    for _ in range(2):
        fit = fittings(own_cors=False)
        answer_lines(fit, asked(target, APP), answer)
        assert fit.cors.for_problem("", APP)
    assert len(target.answers) == 1


def test_the_last_word_on_an_allowance_counts():
    """C3: also where the answer is one that came before."""
    fit, target = fittings(own_cors=False), Target(name="", send=None, begin=None, filter=None)
    lines = b"Date: now", b"Content-Length: 3", b"Access-Control-Allow-Origin: " + APP
    without, allowed = answered(*lines), answered(*lines, b"Access-Control-Allow-Credentials: true")
    one, other = asked(target, APP), asked(target, APP)
    answer_lines(fit, one, allowed)
    answer_lines(fit, other, without)
    answer_lines(fit, one, allowed)
    assert (b"access-control-allow-credentials", b"true") in fit.cors.for_problem("", APP)


def test_an_idle_client_keeps_nothing_of_an_answer_that_came_once():
    """D6: each connection has its passages."""
    fit, ask = fittings(own_cors=False), asked(Target(name="", send=None, begin=None, filter=None))
    answer_lines(fit, ask, answered(b"Date: now", b"Content-Length: 9", b"X-Kind: of its own", times=1))
    assert (ask.heard, ask.answer, ask.model, ask.form) == (None,) * 4
    assert not ask.target.answers


def test_many_heads_fill_no_memory():
    """D6."""
    fit, target = fittings(own_cors=False), Target(name="", send=None, begin=None, filter=None)
    for number in range(1000):
        answer_lines(fit, asked(target), answered(b"ETag: %d" % number, b"Content-Length: 1"))
    assert 0 < len(target.answers) <= 256


@pytest.mark.parametrize("preserved", [True, False])
def test_a_location_is_turned_back_each_time(preserved):
    """X7: it depends on who asks."""
    answer = answered(b"Location: http://api/a", b"Content-Length: 0", b"Date: now", status=302)
    for host in (b"public", b"other", b"public"):
        ask = asked(TARGETS[False, preserved], host=host)
        sent = b"Location: http://api/a" if preserved else b"Location: https://" + host + b"/a"
        assert sent + b"\r\n" in answer_lines(FITTINGS[False], ask, answer).lines


@given(LINES, st.integers(0, 5), st.sampled_from([None, APP]), st.booleans())
def test_what_is_written_of_a_head_that_differs_in_one_value(lines, place, origin, own_cors):
    """P8, P10, C2, X4: no value of the upstream's takes the place of a line of ours."""
    fit, ask = FITTINGS[own_cors], asked(TARGETS[own_cors, True], origin)
    first = [*lines, b"Content-Length: 5"]
    answer_lines(fit, ask, answered(*first, times=1))
    other = list(first)
    name, _, value = other[place % len(other)].partition(b": ")
    for changed in (b"7", b"y", b"https://evil.example", value):
        other[place % len(other)] = name + b": " + changed
        if name == b"Content-Length" and not changed.isdigit():
            continue
        answer = answered(*other, times=1)
        before = answer_fields(response_fields(fit, ask, answer, [], None))
        written = answer_lines(fit, ask, answer)
        after = answer_fields(response_fields(fit, ask, answer, [], None))
        assert said(written) in {said(before), said(after)}


def test_a_dropped_line_that_reads_like_one_of_ours_does_not_change_ours():
    """C2: the upstream's allowance is taken away; what it becomes must not become ours."""
    ours = b"access-control-allow-origin: " + APP
    fit, ask = FITTINGS[True], asked(TARGETS[True, True], APP)
    for value in (APP, b"https://evil.example"):
        answer = answered(b"access-control-allow-origin: " + value, b"X-Twin: a", b"Content-Length: 5", times=1)
        lines = answer_lines(fit, ask, answer).lines
        assert ours + b"\r\n" in lines
        assert b"evil" not in lines
