"""The JSON, the page and its plot, made from figures that nobody had to measure."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from bench import page, results
from bench.goals import GOALS, Goal
from bench.plot import svg
from bench.programs import ROOT
from bench.report import cells, formatted, heads
from bench.results import Results
from bench.samples import Row
from bench.scenarios import ALL
from bench.scenarios.throughput import FRESH
from bench.watch import LOAD_BOUND

SVG = "{http://www.w3.org/2000/svg}"


def row(label, marks=(), **figures):
    return Row(label, [figures], list(marks), figures["rate"] / 50_000)


def drawn(image):
    return ET.fromstring(image)  # noqa: S314  # our own


@pytest.fixture
def found():
    fresh = [
        row("nginx", rate=50_000, cpu=20.0, p50=1.3, p99=2.0, peak=25.0),
        row("Envoy", rate=20_000, cpu=50.0, p50=3.0, p99=5.0, peak=70.0, marks=[LOAD_BOUND]),
        row("Evergreen", rate=36_000, cpu=27.0, p50=1.7, p99=4.4, peak=60.0),
        row("Evergreen, ASGI lane", rate=15_000, cpu=66.0, p50=4.0, p99=9.0, peak=60.0),
    ]
    return Results("2026-11-21", 5, {"CPU": "a fast one"}, {"nginx": "1.22.1"}, {"fresh": fresh})


def test_what_is_saved_is_loaded(found, tmp_path):
    path = tmp_path / "results" / "last.json"
    results.save(found, path)
    assert results.load(path) == found


def test_figures_are_kept_to_five_digits(found, tmp_path):
    path = tmp_path / "last.json"
    found.rows["fresh"][0].samples[0]["rate"] = 49_123.456
    results.save(found, path)
    assert results.load(path).row("fresh", "nginx").median("rate") == 49_123


def test_the_page_has_every_row_and_says_what_it_was_measured_on(found):
    text = page.page(found)
    assert "| Evergreen | 0.72 | 36,000 | 27.0 | 1.70 | 4.40 | 60.0 |" in text
    assert "| Envoy† |" in text
    assert "† limited by the load generator" in text
    assert "| CPU | a fast one |" in text
    assert "| nginx | 1.22.1 |" in text
    assert "$" not in text


def test_each_goal_is_met_or_not_or_not_measured(found):
    text = page.page(found)
    assert "| fresh token, 64 clients: ASGI lane to nginx | ≥ 0.4 | 0.30 | **not met** |" in text
    assert "| … express lane to nginx | ≥ 0.6 | 0.72 | met |" in text
    assert "| … express lane to Envoy | ≥ 1.5 | 1.80 | met |" in text
    assert "| … p99 to nginx's | ≤ 2 | 2.20 | **not met** |" in text
    assert "| 1,000 at once on one token: token requests | ≤ 1 | — | not measured |" in text


def test_the_limit_itself_is_met():
    goal = Goal("a ratio", lambda _: None, 0.6, at_least=True)
    assert goal.met(0.6)
    assert not goal.met(0.59)
    assert not replace(goal, at_least=False).met(0.61)


def test_every_goal_reads_a_figure_that_its_scenario_takes():
    """A renamed scenario, row or figure must not turn a goal into "not measured" unseen."""
    rows = {
        scenario.id: [Row(entry.label, [dict.fromkeys(scenario.columns, 1.0)]) for entry in scenario.entries]
        for scenario in ALL
    }
    full = Results("", 1, {}, {}, rows)
    assert [goal.text for goal in GOALS if goal.value(full) is None] == []


def test_the_page_says_where_ours_is_worse_and_only_there(found):
    worse = "requests/s 36,000 to 50,000; CPU µs/request 27.0 to 20.0; p50 ms 1.70 to 1.30; p99 ms 4.40 to 2.00"
    worse += "; peak MB 60.0 to 25.0"
    losses = [line for line in page.page(found).splitlines() if line.startswith("- Fresh token")]
    assert losses == [f"- Fresh token, 64 clients, 1 KB, against nginx: {worse}"]


@pytest.mark.parametrize(("grown", "losses"), [(0.9, 0), (1.1, 1)])
def test_less_than_a_megabyte_of_growth_is_no_loss(grown, losses):
    rows = [Row("nginx", [{"growth": 0.0}]), Row("Evergreen", [{"growth": grown}])]
    text = page.page(Results("", 1, {}, {}, {"stream-up": rows}))
    assert text.count("- 1 GiB up, against nginx: growth") == losses


def test_page_and_plot_are_written_side_by_side(found, tmp_path):
    page.write(found, tmp_path)
    assert "](performance.svg)" in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance.svg").read_text() == svg(found)


def test_the_page_in_docs_is_made_of_the_figures_beside_it():
    """Whoever changes the template writes the page again: `make docs`."""
    docs = ROOT / "docs"
    if not (docs / "performance.json").exists():
        pytest.skip("no run of `make bench` has been kept yet")
    kept = results.load(docs / "performance.json")
    assert (docs / "performance.md").read_text() == page.page(kept)
    assert (docs / "performance.svg").read_text() == svg(kept)


def test_a_cell_without_a_figure_is_a_dash():
    assert formatted(None, 2) == "—"
    assert formatted(1234.5, 1) == "1,234.5"
    assert cells(FRESH, Row("direct", [{"rate": 1.0}]))[-1] == "—"
    assert len(cells(FRESH, Row("direct"))) == len(heads(FRESH))


def test_the_longest_bar_is_the_largest_figure(found):
    root = drawn(svg(found))
    widths = [float(bar.get("width")) for bar in root.iter(f"{SVG}rect")]
    rates = [each.median("rate") for each in found.rows["fresh"]]
    assert [width / widths[0] for width in widths[:4]] == pytest.approx([rate / rates[0] for rate in rates], 1e-2)


def test_a_bar_far_beyond_the_others_is_cut_and_says_so(found):
    found.rows["fresh"].append(row("slow", rate=500, cpu=1.0, p50=100.0, p99=900.0, peak=1.0))
    panel = svg(found).split('class="title"')[2]
    assert "900.00 (cut)" in panel
    assert panel.count("(cut)") == 1
    assert max(float(width) for width in re.findall(r'width="([\d.]+)"', panel)) < 760


def test_ours_stand_out_in_the_plot_on_light_and_on_dark_pages(found):
    image = svg(found)
    assert [bar.get("class") for bar in drawn(image).iter(f"{SVG}rect")][:4] == [
        "other",
        "other",
        "ours",
        "ours",
    ]
    light, dark = image.split("@media (prefers-color-scheme: dark)")
    for name in ("text", "ours", "other", "note"):
        assert re.search(rf"{name} {{", light)
        assert re.search(rf"{name} {{", dark)


def test_a_panel_without_figures_is_left_out(found):
    assert svg(found).count('class="title"') == 2
    assert svg(Results("", 1, {}, {})).count('class="title"') == 0
