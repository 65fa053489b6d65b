"""Small fleets, in rough weather: what the simulation is for, and that it can be believed."""

from dataclasses import replace
from pathlib import Path

import pytest

import simulation
from gateway.refresher.successors import Successors
from simulation import results
from simulation.ablations import ENGINES
from simulation.figures import rounded
from simulation.fleet import BugError
from simulation.run import Scenario, refresh_settings, simulate
from simulation.studies import ALL, LOCKS, Study
from simulation.weather import FAIR, ROUGH, SLOW_AUTH, Delay
from tests.test_imports import imported

SMALL = Scenario(replicas=10, users=100, seconds=400.0, lifetime=120.0)
SLOW = replace(SLOW_AUTH, auth=Delay(usual=0.15, slow=0.1, tail=(2.0, 12.0)))
STORMY = replace(ROUGH, auth=SLOW.auth, store_pauses=20.0, crashes=5.0, auth_5xx=0.05, client_lost=0.1)


def plain_lock(seconds, **changes):
    return replace(SMALL, without="plain lock", settings=(("lease", seconds),), **changes)


@pytest.fixture(scope="module")
def stormy():
    return simulate(replace(SMALL, weather=STORMY))


def test_the_same_scenario_brings_the_same_figures(stormy):
    """Also in another process, where hashes of text are others."""
    scenario = replace(SMALL, weather=STORMY)
    study = Study(id="again", title="", about="", columns=(), rows=(("same", scenario),))
    assert results.play([study], 1)["again"][0].figures == rounded(stormy)


def test_another_seed_brings_others(stormy):
    assert simulate(replace(SMALL, weather=STORMY, seed=2)) != stormy


def test_as_shipped_nobody_is_logged_out_in_a_storm(stormy):
    """R8, B24: but where an answer of the authorization server was lost, and then they are told so."""
    assert stormy.refreshes > 300
    assert (stormy.spurious_logouts, stormy.unlabelled_logouts, stormy.reuses) == (0, 0, 0)
    assert (stormy.at_once, stormy.foreign_tokens) == (0, 0)
    assert stormy.refused > 0, "a storm that nobody notices"


def test_with_200_replicas_neither():
    found = simulate(replace(SMALL, replicas=200, weather=STORMY.without_lost_answers()))
    assert found.refreshes > 300
    assert (found.spurious_logouts, found.unlabelled_logouts, found.answer_lost_logouts) == (0, 0, 0)
    assert (found.reuses, found.at_once) == (0, 0)


def test_a_lock_that_only_expires_logs_users_out():
    """A lease of 2 s with neither renewal nor journal, under a server that takes longer now and then."""
    found = simulate(plain_lock(2.0, weather=SLOW))
    assert found.at_once > 0
    assert found.reuses > 0
    assert found.spurious_logouts > 0


@pytest.mark.parametrize("without", ["no journal", "no renewal"])
def test_journal_and_renewal_each_keep_sessions_while_everybody_lives(without):
    found = simulate(replace(plain_lock(2.0, weather=SLOW), without=without))
    assert (found.spurious_logouts, found.at_once) == (0, 0)


def test_without_a_journal_nobody_knows_why_a_session_ended():
    """B24: whoever takes over from a dead replica presents at once, and cannot tell a lost answer from a theft."""
    weather = replace(FAIR, auth=Delay(usual=3.0), crashes=1.0)
    without = simulate(replace(SMALL, without="no journal", weather=weather))
    assert without.unlabelled_logouts > 0
    shipped = simulate(replace(SMALL, weather=weather))
    assert shipped.answer_lost_logouts > 0
    assert (shipped.spurious_logouts, shipped.unlabelled_logouts, shipped.reuses) == (0, 0, 0)


def test_in_fair_weather_nobody_waits_in_vain():
    found = simulate(replace(SMALL, weather=FAIR))
    assert found.token_requests_per_refresh == 1
    assert (found.refused, found.answer_lost_logouts) == (0, 0)
    assert 0 < found.wait_p50 <= found.wait_p99 <= found.wait_most
    assert found.claims_per_request <= 1


def test_a_bug_of_the_gateways_ends_the_run(monkeypatch):
    async def stumble(*_):
        raise ValueError

    monkeypatch.setattr(Successors, "claim", stumble)
    with pytest.raises(BugError, match="errand_failed"):
        simulate(replace(SMALL, users=1))


def test_the_shipped_settings_are_simulated_but_for_what_a_scenario_changes():
    shipped = refresh_settings(SMALL)
    assert (shipped.lease, shipped.poll, shipped.poll_most) == (6.0, 0.25, 1.0)
    assert refresh_settings(plain_lock(2.0)) == replace(shipped, lease=2.0)


def test_nothing_of_the_tests_is_needed():
    for path in Path(simulation.__file__).parent.glob("*.py"):
        assert "tests" not in {module.partition(".")[0] for module in imported(path)}


def test_every_study_can_be_run_and_locks_leave_something_out():
    assert len({study.id for study in ALL}) == len(ALL)
    assert {scenario.without for _, scenario in LOCKS.rows} == set(ENGINES)
    for study in ALL:
        short = study.shortened()
        assert [label for label, _ in short.rows] == [label for label, _ in study.rows]
        assert all(scenario.users <= 200 for _, scenario in short.rows)
