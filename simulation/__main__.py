"""``python -m simulation``: every study."""

import os
from pathlib import Path

import click
from rich.console import Console

from simulation import page, results
from simulation.studies import ALL, Study

_DOCS = Path(__file__).parents[1] / "docs"
_KEPT = _DOCS / "scaling.json"
_WIDTH = 150
"""Of the tables where the output is no terminal."""


def _chosen(only: str) -> list[Study]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = set(names) - {study.id for study in ALL}
    if unknown:
        known = ", ".join(study.id for study in ALL)
        raise click.BadParameter(f"no study {', '.join(sorted(unknown))}; there are: {known}")
    return [study for study in ALL if not names or study.id in names]


@click.command()
@click.option("--quick", is_flag=True, help="Fewer users for a shorter time: seconds, and figures that say little.")
@click.option("--only", default="", help="Studies, by their ids, with commas between.")
@click.option("--processes", type=click.IntRange(1), help="[default: one for each core]")
@click.option("--write", is_flag=True, help="Write docs/scaling.{json,md}. Not with --quick or --only.")
@click.option("--page", "only_page", is_flag=True, help="Simulate nothing: write the page again from its JSON.")
def main(*, quick: bool, only: str, processes: int | None, write: bool, only_page: bool) -> None:
    """Simulate fleets of up to 200 replicas and 100,000 users."""
    if only_page:
        page.write(results.load(_KEPT), _DOCS)
        return
    if write and (quick or only):
        raise click.UsageError("--write keeps the figures of a whole run; leave --quick and --only out")
    studies = [study.shortened() if quick else study for study in _chosen(only)]
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    with console.status("simulating"):
        found = results.play(studies, processes or os.cpu_count() or 1)
    for study in studies:
        page.show(console, study, found[study.id])
    if write:
        results.save(found, _KEPT)
        page.write(results.load(_KEPT), _DOCS)


if __name__ == "__main__":
    main()
