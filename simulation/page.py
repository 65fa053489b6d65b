"""Tables, in the terminal and in docs/scaling.md."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from rich.console import Console
from rich.table import Table

from simulation.results import Results, Row
from simulation.studies import ALL, Study

_TEMPLATE = Path(__file__).with_name("scaling.md.in")


@dataclass(frozen=True, slots=True)
class Column:
    """How a figure is shown."""

    title: str
    digits: int = 0
    scale: float = 1.0

    def shown(self, value: float) -> str:
        """As a cell."""
        return f"{value * self.scale:,.{self.digits}f}"


COLUMNS = {
    "requests": Column("requests"),
    "refreshes": Column("refreshes"),
    "spurious_logouts": Column("spurious logouts"),
    "unlabelled_logouts": Column("untold"),
    "answer_lost_logouts": Column("answer lost"),
    "reuses": Column("reuses"),
    "at_once": Column("at once"),
    "foreign_tokens": Column("others' tokens"),
    "token_requests_per_refresh": Column("token requests per refresh", 3),
    "requests_per_refresh": Column("requests per refresh", 1),
    "waits_per_refresh": Column("of them waited", 1),
    "auth_rate": Column("token requests/s", 1),
    "auth_peak": Column("at most in 1 s"),
    "store_rate": Column("store commands/s"),
    "store_peak": Column("store, at most in 1 s"),
    "claims_per_request": Column("first sights per request", 2),
    "commands_per_refresh": Column("commands per refresh", 1),
    "renewals_per_refresh": Column("renewals per refresh", 2),
    "leases_lost": Column("leases lost by the living"),
    "blocked": Column("waited before, %", 2, 100),
    "takeovers": Column("takeovers"),
    "wait_mean": Column("mean ms", 0, 1000),
    "waiting": Column("waited, %", 1, 100),
    "wait_p50": Column("p50 ms", 0, 1000),
    "wait_p99": Column("p99 ms", 0, 1000),
    "wait_most": Column("longest ms", 0, 1000),
    "refused": Column("refused, %", 2, 100),
}
"""Every figure by its name in the JSON."""


def write(results: Results, docs: Path) -> None:
    """The page."""
    (docs / "scaling.md").write_text(page(results))


def page(results: Results) -> str:
    """As Markdown. The template names tables by their studies, and single figures by study, row and name."""
    tables = {study.id: "\n".join(_table(study, results[study.id])) for study in ALL}
    return Template(_TEMPLATE.read_text()).substitute(tables | dict(_single(results)))


def show(console: Console, study: Study, rows: Sequence[Row]) -> None:
    """One table in the terminal."""
    table = Table(title=f"{study.title}  [dim]({study.id})[/dim]", title_justify="left", title_style="bold")
    for number, head in enumerate(_heads(study)):
        table.add_column(head, justify="right" if number else "left")
    for row in rows:
        table.add_row(*_cells(study, row))
    console.print(table)


def _single(results: Results) -> Iterator[tuple[str, str]]:
    for study, rows in results.items():
        for number, row in enumerate(rows, 1):
            for name, value in row.figures.items():
                yield f"{study}_{number}_{name}", COLUMNS[name].shown(value)


def _table(study: Study, rows: Sequence[Row]) -> Iterator[str]:
    heads = _heads(study)
    yield from (study.about, "")
    yield "| " + " | ".join(heads) + " |"
    yield "|---|" + "--:|" * (len(heads) - 1)
    yield from ("| " + " | ".join(_cells(study, row)) + " |" for row in rows)


def _heads(study: Study) -> list[str]:
    return ["", *(COLUMNS[name].title for name in study.columns)]


def _cells(study: Study, row: Row) -> list[str]:
    return [row.label, *(COLUMNS[name].shown(row.figures[name]) for name in study.columns)]
