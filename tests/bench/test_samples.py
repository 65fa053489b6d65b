"""The arithmetic of rounds."""

import pytest

from bench.samples import Row, compare, percentile, ratio, subtract


def row(label, *rates, marks=()):
    return Row(label, [{"rate": rate} for rate in rates], list(marks))


def test_a_figure_is_the_median_of_its_rounds():
    assert row("a", 10, 1000, 20).median("rate") == 20
    assert row("a", 10, 20).median("p99") is None


def test_a_ratio_is_made_within_each_round():
    """The machine's speed changes from round to round: that changes no ratio."""
    assert ratio(row("ours", 50, 30, 20), row("nginx", 100, 60, 200), "rate") == 0.5


def test_a_round_without_the_reference_s_figure_makes_no_ratio():
    assert ratio(row("ours", 50), Row("nginx", [{"p50": 1.0}]), "rate") is None
    assert ratio(row("ours", 50), row("nginx", 0), "rate") is None


def test_all_rows_are_compared_with_the_reference():
    rows = [row("nginx", 100), row("ours", 60)]
    compare(rows, "nginx", "rate")
    assert [each.ratio for each in rows] == [1.0, 0.6]


def test_without_a_reference_there_are_no_ratios():
    rows = [row("ours", 60)]
    compare(rows, "nginx", "rate")
    assert rows[0].ratio is None


def test_added_latency_is_above_the_same_round_s_base():
    direct = Row("direct", [{"p50": 1.0}, {"p50": 2.0}])
    ours = Row("ours", [{"p50": 1.5}, {"p50": 2.1}])
    subtract([direct, ours], "direct", "p50", "added_p50")
    assert [sample["added_p50"] for sample in ours.samples] == pytest.approx([0.5, 0.1])
    assert "added_p50" not in direct.samples[0]


def test_percentiles_interpolate_between_the_closest_ranks():
    values = list(range(101))
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([1, 2], 50) == 1.5


def test_a_row_is_doubtful_when_half_of_its_rounds_are():
    assert row("a", 1, 2, 3, 4, marks=["load"] * 2).doubtful("load")
    assert not row("a", 1, 2, 3, 4, marks=["load"]).doubtful("load")
    assert not row("a", 1, 2).doubtful("load")
