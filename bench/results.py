"""A run's figures as JSON, every round of them, so that tables and plots can be made again without measuring."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.samples import Row


@dataclass(slots=True)
class Results:
    """What one run has found."""

    made: str
    """Its day, in UTC."""
    rounds: int
    machine: dict[str, str]
    versions: dict[str, str]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By the scenarios' ids."""

    def row(self, scenario: str, label: str) -> Row | None:
        """One target's row in one scenario; None where it took no part."""
        return next((row for row in self.rows.get(scenario, []) if row.label == label), None)


def today() -> str:
    """The day, in UTC."""
    return datetime.now(UTC).date().isoformat()


def save(results: Results, path: Path) -> None:
    """Write the file, and the folder that it is in."""
    path.parent.mkdir(exist_ok=True)
    scenarios = {name: [_row(row) for row in rows] for name, rows in results.rows.items()}
    told = {
        "made": results.made,
        "rounds": results.rounds,
        "machine": results.machine,
        "versions": results.versions,
        "scenarios": scenarios,
    }
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _row(row: Row) -> dict[str, Any]:
    keys = dict.fromkeys(key for sample in row.samples for key in sample)
    return {
        "label": row.label,
        "ratio": _short(row.ratio),
        "medians": {key: _short(row.median(key)) for key in keys},
        "marks": row.marks,
        "rounds": [{key: _short(value) for key, value in sample.items()} for sample in row.samples],
    }


def _short(value: float | None) -> float | None:
    """Five digits: more would only say how the wind blew."""
    return None if value is None else float(f"{value:.5g}")


def load(path: Path) -> Results:
    """What ``save`` has written."""
    told = json.loads(path.read_text())
    rows = {
        name: [Row(row["label"], row["rounds"], row["marks"], row["ratio"]) for row in found]
        for name, found in told["scenarios"].items()
    }
    return Results(told["made"], told["rounds"], told["machine"], told["versions"], rows)
