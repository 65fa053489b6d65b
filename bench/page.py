"""Writes docs/performance.md and its plot from a run's figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

from bench.goals import GOALS, Goal
from bench.peers import ALL as PEERS
from bench.peers import COMPILED, EXPRESS
from bench.plot import svg
from bench.report import FOOTNOTES, cells, formatted, heads
from bench.results import Results
from bench.samples import FIGURES, Row
from bench.scenarios import ALL
from bench.scenarios.base import Scenario

_TEMPLATE = Path(__file__).with_name("performance.md.in")
_MARGIN = 1.05
"""What is worse by less is noise."""


def write(results: Results, docs: Path) -> None:
    """The page and the plot."""
    (docs / "performance.svg").write_text(svg(results))
    (docs / "performance.md").write_text(page(results))


def page(results: Results) -> str:
    """The page, as Markdown."""
    return Template(_TEMPLATE.read_text()).substitute(
        made=results.made,
        rounds=results.rounds,
        machine=_facts(results.machine),
        versions=_facts(results.versions),
        peers="\n".join(f"| {peer.name} | {peer.about} |" for peer in PEERS),
        goals="\n".join(_goal(goal, results) for goal in GOALS),
        losses="\n".join(_losses(results)) or "Nowhere.",
        tables="\n".join(_tables(results)).strip(),
    )


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in facts.items())])


def _goal(goal: Goal, results: Results) -> str:
    value = goal.value(results)
    verdict = "not measured" if value is None else "met" if goal.met(value) else "**not met**"
    return f"| {goal.text} | {goal.bound} | {formatted(value, goal.digits)} | {verdict} |"


def _losses(results: Results) -> Iterator[str]:
    """One line for each scenario and peer, with the figures in which ours is the worse one."""
    for scenario in ALL:
        rows = results.rows.get(scenario.id, [])
        for ours in (row for row in rows if row.label.partition(" · ")[0] == EXPRESS.name):
            for theirs in _rivals(rows, ours):
                worse = [text for key in scenario.columns if (text := _worse(ours, theirs, key))]
                if worse:
                    yield f"- {scenario.title}, against {theirs.label}: {'; '.join(worse)}"


def _rivals(rows: Sequence[Row], ours: Row) -> list[Row]:
    """Those who played in the same setting."""
    names = {ours.label.replace(EXPRESS.name, peer.name) for peer in COMPILED}
    return [row for row in rows if row.label in names]


def _worse(ours: Row, theirs: Row, key: str) -> str:
    figure, mine, other = FIGURES[key], ours.median(key), theirs.median(key)
    if mine is None or other is None:
        return ""
    lost = mine * _MARGIN < other if figure.more_is_better else mine > max(other * _MARGIN, other + figure.trifle)
    shown = f"{formatted(mine, figure.digits)} to {formatted(other, figure.digits)}"
    return f"{figure.title} {shown}" if lost else ""


def _tables(results: Results) -> Iterator[str]:
    for scenario in ALL:
        if scenario.id in results.rows:
            yield from _table(scenario, results.rows[scenario.id])


def _table(scenario: Scenario, rows: Sequence[Row]) -> Iterator[str]:
    yield from (f"### {scenario.title}", "", f"{scenario.about} (`{scenario.id}`)", "")
    titles = heads(scenario)
    yield "| " + " | ".join(titles) + " |"
    yield "|---|" + "--:|" * (len(titles) - 1)
    yield from ("| " + " | ".join(cells(scenario, row)) + " |" for row in rows)
    yield from (f"\n{note}" for mark, note in FOOTNOTES.items() if any(row.doubtful(mark) for row in rows))
    yield ""
