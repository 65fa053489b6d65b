"""The plot of docs/performance.md: bars in an SVG that is readable on a light and on a dark page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from bench.peers import OURS
from bench.report import formatted
from bench.results import Results
from bench.samples import FIGURES

_WIDTH = 760
_LABELS = 170
_VALUES = 90
_BAR, _GAP = 18, 6
_LONGEST = 4
"""Times the median bar: a longer one is cut, or nobody could tell the others apart."""
_PANEL_HEAD, _PANEL_FOOT = 34, 14
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.note { fill: #57606a; }
.ours { fill: #1a7f37; }
.other { fill: #8c959f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .ours { fill: #3fb950; }
  .other { fill: #6e7681; }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of one scenario, a bar for each who took part."""

    title: str
    scenario: str
    figure: str


PANELS = (
    Panel("Requests per second on one core: fresh token, 64 clients, 1 KB (more is better)", "fresh", "rate"),
    Panel("p99 in ms, at that load (less is better)", "fresh", "p99"),
    Panel("Added latency in ms: one client, median (less is better)", "clients-1", "added_p50"),
    Panel("KB of memory for each of 4,096 idle clients (less is better)", "idle-4096", "kb_client"),
)
_OURS = {peer.name for peer in OURS}


def svg(results: Results) -> str:
    """The whole image. Panels without figures are left out."""
    parts: list[str] = []
    top = 0
    for panel in PANELS:
        bars = _bars(results, panel)
        if bars:
            parts += _panel(panel, bars, top)
            top += _PANEL_HEAD + len(bars) * (_BAR + _GAP) + _PANEL_FOOT
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">'
    return "\n".join([frame, f"<style>{_STYLE}</style>", *parts, "</svg>", ""])


def _bars(results: Results, panel: Panel) -> list[tuple[str, float]]:
    medians = ((row.label, row.median(panel.figure)) for row in results.rows.get(panel.scenario, []))
    return [(label, value) for label, value in medians if value is not None]


def _panel(panel: Panel, bars: Sequence[tuple[str, float]], top: int) -> list[str]:
    values = [value for _, value in bars]
    longest = min(max(values), _LONGEST * median(values))
    digits = FIGURES[panel.figure].digits
    drawn = [f'<text class="title" x="0" y="{top + 18}">{escape(panel.title)}</text>']
    for number, (label, value) in enumerate(bars):
        y = top + _PANEL_HEAD + number * (_BAR + _GAP)
        width = min(1.0, value / longest) * (_WIDTH - _LABELS - _VALUES)
        told = formatted(value, digits) + (" (cut)" if value > longest else "")
        kind = "ours" if label in _OURS else "other"
        base = y + _BAR - 5
        drawn += [
            f'<text x="{_LABELS - 10}" y="{base}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
            f'<text class="note" x="{_LABELS + width + 8:.1f}" y="{base}">{told}</text>',
        ]
    return drawn
