"""Tables in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.samples import FIGURES, Row
from bench.scenarios.base import Scenario
from bench.watch import DISTURBED, LOAD_BOUND

FOOTNOTES = {
    LOAD_BOUND: "† limited by the load generator and the API, not by the proxy",
    DISTURBED: "‡ disturbed: other programs ran on the proxy's core",
}
_SIGNS = {mark: note[0] for mark, note in FOOTNOTES.items()}


def formatted(value: float | None, digits: int) -> str:
    """A figure, or a dash where there is none."""
    return "—" if value is None else f"{value:,.{digits}f}"


def signs(row: Row) -> str:
    """What makes its figures doubtful, as signs of footnotes."""
    return "".join(sign for mark, sign in _SIGNS.items() if row.doubtful(mark))


def cells(scenario: Scenario, row: Row) -> list[str]:
    """A line of the table: who, the ratio, the figures."""
    figures = [formatted(row.median(key), FIGURES[key].digits) for key in scenario.columns]
    ratio = [formatted(row.ratio, 2)] if scenario.reference else []
    return [row.label + signs(row), *ratio, *figures]


def heads(scenario: Scenario) -> list[str]:
    """The heads of its columns."""
    ratio = [f"to {scenario.reference}"] if scenario.reference else []
    return ["", *ratio, *(FIGURES[key].title for key in scenario.columns)]


def show(console: Console, scenario: Scenario, rows: Sequence[Row]) -> None:
    """One table."""
    table = Table(title=f"{scenario.title}  [dim]({scenario.id})[/dim]", title_justify="left", title_style="bold")
    for number, head in enumerate(heads(scenario)):
        table.add_column(head, justify="right" if number else "left")
    for row in rows:
        table.add_row(*cells(scenario, row))
    console.print(table)
    for mark, note in FOOTNOTES.items():
        if any(row.doubtful(mark) for row in rows):
            console.print(f"[dim]{note}[/dim]")
