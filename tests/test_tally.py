"""The counts of a gateway, in the terms of Prometheus, with labels that are bounded."""

import math
from collections import Counter as Counted

import pytest

from gateway.tally import BOUNDS, OTHER, Counter, Histogram, Tally
from tests.e2e.support import until
from tests.house import house


def family(tally: Tally, name: str) -> Counter | Histogram:
    return {family.name: family for family in tally.snapshot()}[name]


def requests(tally: Tally) -> Counted:
    return Counted(family(tally, "gateway_requests").samples)


def durations(tally: Tally) -> dict:
    return dict(family(tally, "gateway_request_duration_seconds").samples)


def test_nothing_has_happened_yet():
    assert all(not family.samples for family in Tally().snapshot())


def test_requests_are_counted_by_route_decision_status_and_lane():
    tally = Tally()
    for express in (False, True, True):
        tally.request("/a", "forward", 200, 0.01, express)
    tally.request("/a", "forward", 404, 0.01, True)
    tally.request("/b/*", "refuse", 401, 0.01, False)
    assert family(tally, "gateway_requests").labels == ("route", "decision", "status", "lane")
    assert requests(tally) == {
        ("/a", "forward", "200", "asgi"): 1,
        ("/a", "forward", "200", "express"): 2,
        ("/a", "forward", "404", "express"): 1,
        ("/b/*", "refuse", "401", "asgi"): 1,
    }


@pytest.mark.parametrize(
    ("seconds", "le"), [(0.0, 0.001), (0.001, 0.001), (0.0011, 0.0025), (60, 60), (61, math.inf)]
)
def test_a_bucket_counts_what_took_no_longer(seconds, le):
    """Prometheus: ``le`` is inclusive, and buckets are cumulative."""
    tally = Tally()
    tally.request("/", "forward", 200, seconds, False)
    (sample,) = durations(tally).values()
    assert [bound for bound, _ in sample.buckets] == [*BOUNDS, math.inf]
    assert sample.buckets == tuple((bound, int(bound >= le)) for bound, _ in sample.buckets)
    assert sample.sum == seconds


def test_the_durations_of_a_route_are_those_of_all_its_answers():
    """A histogram for each status would be many times the lines for the same picture."""
    tally = Tally()
    tally.request("/a", "forward", 200, 0.002, False)
    tally.request("/a", "refuse", 401, 0.02, False)
    tally.request("/a", "forward", 200, 0.002, True)
    assert durations(tally).keys() == {("/a", "asgi"), ("/a", "express")}
    sample = durations(tally)["/a", "asgi"]
    assert dict(sample.buckets)[0.0025] == 1
    assert sample.buckets[-1] == (math.inf, 2)
    assert sample.sum == pytest.approx(0.022)


def test_how_long_a_websocket_was_open_is_no_latency():
    tally = Tally()
    tally.request("/ws", "forward", 101, 3600, False)
    assert requests(tally) == {("/ws", "forward", "101", "asgi"): 1}
    assert durations(tally) == {}


def test_refreshes_have_durations_by_outcome_and_notices_a_count():
    tally = Tally()
    tally.refresh("granted", 0.3)
    tally.refresh("granted", 0.2)
    tally.refresh("denied", 0.1)
    tally.notice("library")
    refreshes = family(tally, "gateway_refresh_duration_seconds")
    assert refreshes.labels == ("outcome",)
    assert {labels: sample.buckets[-1][1] for labels, sample in refreshes.samples.items()} == {
        ("granted",): 2,
        ("denied",): 1,
    }
    assert refreshes.samples["granted",].sum == pytest.approx(0.5)
    assert family(tally, "gateway_notices").samples == {("library",): 1}


def test_what_the_store_did_not_do_is_counted():
    """B18, B20"""
    tally = Tally()
    tally.store_error("renew", "timeout")
    tally.store_error("renew", "timeout")
    tally.store_error("put_family", "OutOfMemoryError")
    errors = family(tally, "gateway_store_errors")
    assert errors.labels == ("operation", "reason")
    assert errors.samples == {("renew", "timeout"): 2, ("put_family", "OutOfMemoryError"): 1}


def test_a_snapshot_stands_still():
    """A scrape may take its time."""
    tally = Tally()
    tally.request("/", "forward", 200, 0.1, False)
    tally.refresh("granted", 0.1)
    tally.notice("x")
    tally.store_error("get", "timeout")
    before = tally.snapshot()
    told = repr(before)
    tally.request("/", "forward", 200, 0.1, False)
    tally.refresh("granted", 0.1)
    tally.notice("x")
    tally.store_error("get", "timeout")
    assert repr(before) == told
    assert tally.snapshot() != before


def test_an_upstream_cannot_make_any_number_of_series():
    """X11: beyond the bound a status is told by its class, and nothing is lost from the sum."""
    tally = Tally(most=10)
    for status in range(200, 1000):
        tally.request("/a", "forward", status, 0.1, True)
    counted = requests(tally)
    assert len(counted) == 10 + 8
    assert counted[OTHER, "forward", "200", "express"] == 90
    assert counted[OTHER, "forward", "900", "express"] == 100
    assert sum(counted.values()) == 800


async def test_paths_and_subjects_make_no_series(tmp_path):
    """X11: through a whole gateway, in whichever lane; the route is the rule's."""
    async with house(tmp_path, routes=[{"match": "/open/*", "auth": "off"}]) as h:
        for n in range(20):
            await h.get(f"/open/{n}")
            await h.get(f"/echo?{n}", h.login(f"user-{n}"))
            await h.get(f"/{n}")
        await until(lambda: requests(h.gateway.tally).total() == 60)
        by_lane = requests(h.gateway.tally)
        without_lane = Counted()
        for labels, times in by_lane.items():
            without_lane[labels[:3]] += times
        assert without_lane == {
            ("/open/*", "pass", "200"): 20,
            ("", "forward", "200"): 20,
            ("", "refuse", "401"): 20,
        }
    assert len(by_lane) <= 6
    assert len(durations(h.gateway.tally)) <= 4


async def test_a_refresh_and_a_notice_are_counted(tmp_path):
    async with house(tmp_path) as h:
        await h.get("/echo", h.expired())
        refreshes = family(h.gateway.tally, "gateway_refresh_duration_seconds")
        assert {labels: sample.buckets[-1][1] for labels, sample in refreshes.samples.items()} == {("granted",): 1}
        await h.client.get(h.url + "/echo", headers={"X-Forwarded-For": "10.0.0.1"})
        await until(lambda: family(h.gateway.tally, "gateway_notices").samples)
        assert family(h.gateway.tally, "gateway_notices").samples == {("untrusted_forwarding",): 1}
