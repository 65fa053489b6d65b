"""``python -m bench``: everything side by side."""

import signal
import sys
from collections.abc import Sequence
from functools import partial
from types import FrameType

import click
from rich.console import Console
from rich.status import Status

from bench import measure, page, priority, results
from bench.errors import BenchError
from bench.machine import machine, versions
from bench.programs import ROOT
from bench.report import show
from bench.scenarios import ALL
from bench.scenarios.base import Scenario
from bench.stage import USERS, stage

_ROUNDS, _QUICK_ROUNDS = 5, 3
_QUICK_SECONDS = 1
_DOCS = ROOT / "docs"
_KEPT = _DOCS / "performance.json"
_LAST = ROOT / "bench" / "results" / "last.json"
_WIDTH = 110
"""Of the tables where the output is no terminal."""


def _terminated(number: int, _frame: FrameType | None) -> None:
    """SIGTERM as an exception: what was started is ended."""
    sys.exit(128 + number)


def _chosen(only: str, *, quick: bool) -> list[Scenario]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = set(names) - {scenario.id for scenario in ALL}
    if unknown:
        known = ", ".join(scenario.id for scenario in ALL)
        raise click.BadParameter(f"no scenario {', '.join(sorted(unknown))}; there are: {known}")
    if names:
        chosen = [scenario for scenario in ALL if scenario.id in names]
    else:
        chosen = [scenario for scenario in ALL if scenario.quick or not quick]
    return [scenario.shortened() for scenario in chosen] if quick else chosen


def _tell(status: Status, scenario: str, what: str) -> None:
    status.update(f"{scenario}: {what}")


def _play(console: Console, chosen: Sequence[Scenario], rounds: int, seconds: int) -> results.Results:
    found = results.Results(results.today(), rounds, machine(), versions())
    with console.status("signing tokens") as status:
        users = USERS if any(scenario.needs_users for scenario in chosen) else 0
        with stage(users) as built:
            for scenario in chosen:
                rows = measure.play(
                    scenario,
                    built,
                    rounds=rounds,
                    seconds=seconds or scenario.seconds,
                    tell=partial(_tell, status, scenario.id),
                )
                found.rows[scenario.id] = rows
                show(console, scenario, rows)
    return found


@click.command()
@click.option("--quick", is_flag=True, help="The short form: a few scenarios, fewer and shorter rounds.")
@click.option("--only", default="", help="Scenarios, by their ids, with commas between.")
@click.option("--rounds", type=click.IntRange(1), help="[default: 5; quick: 3]")
@click.option("--seconds", type=click.IntRange(1), help="Of one round of one proxy. [default: the scenario's own]")
@click.option("--urgent", is_flag=True, help="On a machine that others use too: before them all (nice -20; root).")
@click.option("--write", is_flag=True, help="Write docs/performance.{json,md,svg}. Not with --quick or --only.")
@click.option("--page", "only_page", is_flag=True, help="Measure nothing: write the page again from its JSON.")
def main(
    *, quick: bool, only: str, rounds: int | None, seconds: int | None, urgent: bool, write: bool, only_page: bool
) -> None:
    """Measure this gateway beside nginx, Envoy and plain Python proxies, on two cores of this machine."""
    signal.signal(signal.SIGTERM, _terminated)
    if only_page:
        page.write(results.load(_KEPT), _DOCS)
        return
    if write and (quick or only):
        raise click.UsageError("--write keeps the figures of a whole run; leave --quick and --only out")
    if urgent:
        priority.raise_own()
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    chosen = _chosen(only, quick=quick)
    rounds = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    try:
        found = _play(console, chosen, rounds, seconds or (_QUICK_SECONDS if quick else 0))
    except BenchError as error:
        console.print(f"[red]The run is void:[/red] {error}", highlight=False)
        sys.exit(1)
    _keep(found, write=write)


def _keep(found: results.Results, *, write: bool) -> None:
    results.save(found, _LAST)
    if write:
        results.save(found, _KEPT)
        page.write(results.load(_KEPT), _DOCS)  # of the rounded figures, as --page would


if __name__ == "__main__":
    main()
