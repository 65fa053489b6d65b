"""The JSON and the page."""

import io
import re

import pytest
from click.testing import CliRunner
from rich.console import Console

import simulation.__main__
from simulation import page, results
from simulation.__main__ import _DOCS as DOCS
from simulation.__main__ import main
from simulation.figures import Figures
from simulation.results import Row
from simulation.studies import ALL, SIZES

FIGURES = dict.fromkeys(Figures.__dataclass_fields__, 0.5)


def made_up():
    return {study.id: [Row(label, {"users": 1}, dict(FIGURES)) for label, _ in study.rows] for study in ALL}


def test_what_is_saved_is_loaded(tmp_path):
    results.save(made_up(), tmp_path / "scaling.json")
    assert results.load(tmp_path / "scaling.json") == made_up()


def test_every_figure_has_a_column_and_every_column_a_figure():
    assert page.COLUMNS.keys() == FIGURES.keys()
    for study in ALL:
        assert set(study.columns) <= page.COLUMNS.keys()


def test_the_page_has_every_row():
    text = page.page(made_up())
    for study in ALL:
        assert study.about in text
        for label, _ in study.rows:
            assert f"| {label} |" in text
    assert "$" not in text


def test_the_page_in_docs_is_made_of_the_figures_beside_it():
    """Whoever changes the template writes the page again: `make docs`."""
    kept = results.load(DOCS / "scaling.json")
    assert (DOCS / "scaling.md").read_text() == page.page(kept)
    assert {study.id: [label for label, _ in study.rows] for study in ALL} == {
        study: [row.label for row in rows] for study, rows in kept.items()
    }


def test_the_figures_in_docs_keep_what_the_page_promises():
    """Zero spurious logouts as shipped, up to 200 replicas and 100,000 users; not so with a plain lock."""
    kept = results.load(DOCS / "scaling.json")
    assert max((row.facts["replicas"], row.facts["users"]) for row in kept["sizes"]) == (200, 100_000)
    lock = next(row for row in kept["locks"] if row.label == "a plain lock of 2 s")
    for row in [*kept["sizes"], kept["locks"][0]]:
        assert [row.figures[name] for name in ("spurious_logouts", "unlabelled_logouts", "reuses", "at_once")] == [
            0
        ] * 4
        assert row.figures["foreign_tokens"] == 0
    assert lock.figures["spurious_logouts"] > 0


def test_the_command_plays_shows_and_writes(tmp_path, monkeypatch):
    shown = CliRunner().invoke(main, ["--quick", "--only", "sizes", "--processes", "1"], catch_exceptions=False)
    assert "200 replicas" in shown.output
    monkeypatch.setattr(simulation.__main__, "_DOCS", tmp_path)
    monkeypatch.setattr(simulation.__main__, "_KEPT", tmp_path / "scaling.json")
    monkeypatch.setattr(results, "play", lambda studies, processes: made_up())
    CliRunner().invoke(main, ["--write"], catch_exceptions=False)
    written = (tmp_path / "scaling.md").read_text()
    assert written == page.page(made_up())
    (tmp_path / "scaling.md").unlink()
    CliRunner().invoke(main, ["--page"], catch_exceptions=False)
    assert (tmp_path / "scaling.md").read_text() == written


def test_a_table_in_the_terminal():
    console = Console(width=400, record=True, file=io.StringIO())
    page.show(console, SIZES, made_up()["sizes"])
    text = console.export_text()
    assert "spurious logouts" in text
    assert re.search(r"200 replicas, 100,000 users +│", text)


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--only", "moon"], "no study moon"), (["--quick", "--write"], "--write")]
)
def test_the_command_refuses_what_makes_no_sense(arguments, said):
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 2
    assert said in found.output
