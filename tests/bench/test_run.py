"""The smallest runs there are, of real proxies on real sockets; and what a wrong answer does to them."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from bench import measure
from bench.asking import judge
from bench.check import question, verify, verifying
from bench.errors import WrongAnswerError
from bench.load import Reply, at_rate, connected, play
from bench.peers import ASGI, DIRECT, EXPRESS, NGINX
from bench.peers.base import Peer
from bench.programs import Command
from bench.scenarios.base import Scenario
from bench.scenarios.refreshing import CROWD, EXPIRED, RATE, REJECTED, Told
from bench.scenarios.streams import DOWN, UP
from bench.scenarios.throughput import FRESH, UNIQUE, entries
from bench.scenarios.waiting import IDLE, SLOW
from bench.stage import Setting, stage
from bench.targets import Entry, running
from bench.upstream import document
from bench.watch import Seen
from bench.wrk import Loaded
from tests.programs import program

USERS = 5
LIAR = """
import http.server, itertools, sys
from bench.upstream import document
from bench.watch import Seen
from bench.wrk import Loaded
honest = itertools.count()
class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        lies = next(honest) >= int(sys.argv[2])
        body = document().replace(b"item", b"ITEM") if lies else document()
        self.send_response(int(sys.argv[3]) if lies else 200)
        self.send_header("Content-Length", str(len(body)))
        if sys.argv[4:]:
            self.send_header("X-Request-Id", sys.argv[4])
        self.end_headers()
        self.wfile.write(body)
    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "14")
        self.end_headers()
        self.wfile.write(b'{"received":1}')
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Liar).serve_forever()
"""


@pytest.fixture(scope="module")
def built():
    program("nginx")
    with stage(USERS) as built:
        yield built


def liar(*, honest=0, status=200, identity=()):
    """A proxy that answers some requests right."""

    def command(place):
        return Command([sys.executable, "-c", LIAR, str(place.port), str(honest), str(status), *identity])

    return Entry(Peer("liar", "", command))


def run(scenario, built, *peers, setting=None):
    """One short round; rows by their labels."""
    setting = setting or Setting()
    scenario = replace(scenario, entries=entries(peers, setting))
    rows = measure.play(scenario, built, rounds=1, seconds=1, tell=lambda _: None)
    return {row.label: row for row in rows}


def test_throughput_is_measured_and_compared(built):
    program("wrk")
    rows = run(replace(FRESH, subtract_direct=True), built, DIRECT, NGINX, EXPRESS)
    assert rows["nginx"].ratio == 1.0
    assert all(row.median("rate") > 0 for row in rows.values())
    assert rows["Evergreen"].samples[0].keys() >= {*FRESH.columns}
    assert rows["direct"].median("cpu") is None
    assert rows["nginx"].median("added_p50") == rows["nginx"].median("p50") - rows["direct"].median("p50")


def test_heads_that_differ_from_clients_with_tls_are_answered(built):
    program("wrk")
    rows = run(UNIQUE, built, ASGI, setting=Setting(tls=True))
    assert rows["Evergreen, ASGI lane"].median("rate") > 0


def test_each_expired_user_is_refreshed_once(built):
    """The scenario itself looks at every answer, and at what the token endpoint has counted."""
    rows = run(EXPIRED, built, EXPRESS)
    assert rows["Evergreen"].median("refreshes") > 0


def test_the_added_time_of_a_refresh_is_above_the_token_endpoint_s_own(built):
    """Of the same user: the endpoint may have kept one waiting and not the other."""
    assert run(RATE, built, EXPRESS)["Evergreen"].median("added_p99") is not None
    pairs, replies = built.expired[:2], [Reply(seconds=0.050), Reply(seconds=0.014)]
    told = Told(2, 0, {pairs[0].user: 0.046, pairs[1].user: 0.010})
    assert RATE.figures(pairs, replies, told, Seen(), 1.0)["added_p99"] == pytest.approx(4.0)


def test_a_crowd_on_one_token_makes_one_token_request(built):
    assert run(replace(CROWD, clients=20), built, EXPRESS)["Evergreen"].median("token_requests") == 1


def test_a_refused_token_is_refreshed_and_its_request_replayed(built):
    rows = run(REJECTED, built, EXPRESS, setting=Setting(behind="services"))
    assert rows["Evergreen"].median("refreshes") > 0


def test_a_proxy_that_does_not_refresh_voids_the_run(built):
    with pytest.raises(WrongAnswerError, match=r"5 of 5 answers|has not got the tokens"):
        run(EXPIRED, built, NGINX)


def test_streams_go_both_ways(built):
    down, up = replace(DOWN, path="/64k", size=65536), replace(UP, size=4 * 1024**2)
    assert run(down, built, NGINX, EXPRESS)["Evergreen"].median("mb_s") > 0
    assert run(up, built, NGINX, EXPRESS, setting=Setting(behind="services"))["Evergreen"].median("mb_s") > 0


def test_a_stream_of_another_length_voids_the_run(built):
    with pytest.raises(WrongAnswerError, match="another length"):
        run(replace(DOWN, path="/64k", size=65535), built, DIRECT)


def test_an_upload_that_did_not_arrive_voids_the_run(built):
    with running(built, [liar()]) as (target,), pytest.raises(WrongAnswerError, match=r'has got .*"received":1}'):
        replace(UP, size=2 * 1024**2)._once(target)


def test_one_wrong_answer_of_many_voids_the_run(built):
    right = Reply(200, {}, bytearray(document()))
    with running(built, [Entry(DIRECT)]) as (target,):
        judge(target, [right], document())
        for wrong in (Reply(500, {}, right.body), Reply(200, {}, right.body[1:])):
            with pytest.raises(WrongAnswerError, match="1 of 3 answers are wrong"):
                judge(target, [right, wrong, right], document())


@dataclass(frozen=True, kw_only=True)
class Census(Scenario):
    """Which process plays each round."""

    def measure(self, target, seconds):
        return {"rate": target.program.pid}, Seen()


@pytest.mark.parametrize(("restart", "processes"), [(False, 1), (True, 3)])
def test_a_scenario_may_want_a_new_process_for_each_round(built, restart, processes):
    scenario = Census(id="census", title="", about="", entries=entries([NGINX]), columns=("rate",), restart=restart)
    (row,) = measure.play(scenario, built, rounds=3, seconds=1, tell=lambda _: None)
    assert len({sample["rate"] for sample in row.samples}) == processes


def test_slow_and_idle_clients_are_counted(built):
    slow = run(replace(SLOW, clients=5), built, NGINX, setting=Setting(behind="services"))["nginx"]
    assert slow.median("of_ideal") > 0
    assert run(replace(IDLE, clients=100), built, EXPRESS)["Evergreen"].median("kb_client") is not None


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (liar(), "another body"),
        (liar(status=203), "status 203"),
        (liar(honest=9, identity=["1"]), "the same answer twice"),
    ],
    ids=["body", "status", "repeated"],
)
def test_a_proxy_that_answers_wrongly_is_found_out_before(built, entry, complaint):
    with running(built, [entry]) as (target,), pytest.raises(WrongAnswerError, match=complaint):
        verify(target, question(target, "/json", document()))


def test_a_proxy_that_answers_wrongly_under_load_is_found_out(built):
    with running(built, [liar(honest=3)]) as (target,):
        asked = question(target, "/json", document())
        verify(target, asked)
        with pytest.raises(WrongAnswerError, match="another body"), verifying(target, asked) as failed:
            assert failed.wait(30)


def test_statuses_under_load_are_counted(built):
    program("wrk")
    with pytest.raises(WrongAnswerError, match="requests failed under load"):
        measure.play(
            replace(FRESH, entries=[liar(honest=3, status=500)], load=replace(FRESH.load, path="/json")),
            built,
            rounds=1,
            seconds=1,
            tell=lambda _: None,
        )


def test_answers_under_load_that_are_too_short_or_too_long_void_the_run(built):
    """However right their status is."""
    with running(built, [Entry(DIRECT)]) as (target,):
        for size, right in ((1024 + 400, True), (700, False), (4000, False)):
            loaded = Loaded(requests=10_000, seconds=1.0, bytes=10_000 * size, p50=1.0, p99=1.0, longest=1.0)
            with nullcontext() if right else pytest.raises(WrongAnswerError, match="bytes in 10000 answers"):
                FRESH._weigh(target, loaded)


@pytest.mark.parametrize("scenario", [EXPIRED, CROWD], ids=lambda scenario: scenario.id)
def test_one_token_request_too_many_voids_the_run(built, scenario):
    with running(built, [Entry(DIRECT)]) as (target,):
        pairs = built.expired[:1]
        reply = Reply(200, {b"x-access-token": pairs[0].granted.encode()}, bytearray(document()))
        scenario.judge(target, pairs, [reply], Told(1, 0, {}))
        with pytest.raises(WrongAnswerError, match="2 token requests"):
            scenario.judge(target, pairs, [reply], Told(2, 0, {}))


def test_an_open_loop_says_when_the_target_cannot_keep_up(built):
    async def story():
        head = "\r\n".join(["GET /slow HTTP/1.1", *built.fields(built.token, "api"), "", ""]).encode()
        async with connected(built.services_port, 1) as clients:
            with pytest.raises(WrongAnswerError, match="fewer than 100 answers a second"):
                await at_rate(clients, [head] * 2, 100)

    play(story)
