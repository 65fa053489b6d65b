"""What all runs have found, as JSON. No date and no machine: the same code finds the same again."""

import json
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from simulation.figures import rounded
from simulation.run import Scenario, simulate
from simulation.studies import Study


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    label: str
    facts: dict[str, float]
    """Of its scenario."""
    figures: dict[str, float]


Results = dict[str, list[Row]]
"""By the studies' ids."""


def _die_of_interrupts() -> None:
    """Who presses Ctrl-C does not want the next run either."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _found(scenario: Scenario) -> dict[str, float]:
    return rounded(simulate(scenario))


def play(studies: Sequence[Study], processes: int) -> Results:
    """Each run in a process of its own, so many at a time, the longest ones first."""
    runs = {id(scenario): scenario for study in studies for _, scenario in study.rows}
    longest = sorted(runs.values(), key=lambda scenario: -scenario.users * scenario.seconds)
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_die_of_interrupts) as pool:
        found = {id(scenario): pool.submit(_found, scenario) for scenario in longest}
        try:
            return {study.id: [_row(label, scenario, found) for label, scenario in study.rows] for study in studies}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _row(label: str, scenario: Scenario, found: dict[int, "Future[dict[str, float]]"]) -> Row:
    facts = {
        "replicas": scenario.replicas,
        "users": scenario.users,
        "seconds": scenario.seconds,
        "lifetime": scenario.lifetime,
        "seed": scenario.seed,
    }
    return Row(label, facts, found[id(scenario)].result())


def save(results: Results, path: Path) -> None:
    """Write the file."""
    told = {
        study: [{"label": row.label, "scenario": row.facts, "figures": row.figures} for row in rows]
        for study, rows in results.items()
    }
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Results:
    """What ``save`` has written."""
    told = json.loads(path.read_text())
    return {
        study: [Row(row["label"], row["scenario"], row["figures"]) for row in rows] for study, rows in told.items()
    }
