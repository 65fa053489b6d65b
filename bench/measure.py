"""Plays a scenario: rounds, in which all take turns, each time in another order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.samples import Row, compare
from bench.scenarios.base import Scenario
from bench.stage import Stage
from bench.targets import Target, running

Tell = Callable[[str], None]


def play(scenario: Scenario, stage: Stage, *, rounds: int, seconds: int, tell: Tell) -> list[Row]:
    """All rounds of one scenario.

    ``seconds`` are those of one round of one target, where they can be chosen; ``tell`` hears what is being done.

    Raises:
        BenchError: a proxy does not start, or answers wrongly.
    """
    rows = [Row(entry.label) for entry in scenario.entries]
    with ExitStack() as stack:
        targets = [] if scenario.restart else stack.enter_context(running(stage, scenario.entries))
        for target in targets:
            tell(f"warming up {target.label}")
            scenario.prepare(target)
        for number in range(rounds):
            for index in _order(len(rows), number):
                tell(f"round {number + 1} of {rounds}: {rows[index].label}")
                with _target(scenario, stage, targets, index) as target:
                    _measure(scenario, target, rows[index], seconds)
    scenario.finish(rows)
    compare(rows, scenario.reference, scenario.main)
    return rows


@contextmanager
def _target(scenario: Scenario, stage: Stage, targets: Sequence[Target], index: int) -> Iterator[Target]:
    """The one that runs already, or a new one where the scenario wants processes that have seen nothing."""
    if not scenario.restart:
        yield targets[index]
        return
    with running(stage, [scenario.entries[index]]) as (target,):
        yield target


def _measure(scenario: Scenario, target: Target, row: Row, seconds: int) -> None:
    sample, seen = scenario.measure(target, seconds)
    row.samples.append(sample)
    row.marks += seen.marks


def _order(count: int, number: int) -> Sequence[int]:
    """Nobody is always the first, nor always after the same one."""
    turned = [(index + number) % count for index in range(count)]
    return turned[::-1] if number % 2 else turned
