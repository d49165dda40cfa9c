"""Charts as inline SVG, without scripts, fonts or network; colours come from the CSS variables of the page.

All text in a chart is escaped here, so the result can be inserted into a page unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from pipeline.core import figures
from pipeline.core.report import Chart, Series

MAX_POINTS = 400  # a curve of 100,000 steps must not make a page of megabytes
WIDTH = 960
NARROW = (200, 470)  # height and width of one of two charts in a row
LARGEST = 1e300  # beyond it, also NaN: differences and squares would overflow
Projection = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True)
class PlotArea:
    """Maps the values of a chart to positions in the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: int
    width: int = WIDTH
    left: int = 62
    right: int = 20
    top: int = 14
    bottom: int = 44

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        plot_height = self.height - self.top - self.bottom
        return self.left + across * (self.width - self.left - self.right), self.height - self.bottom - up * plot_height


def draw(chart: Chart) -> str:
    """A chart of a stage's report."""
    height, width = NARROW if chart.narrow else (300, WIDTH)
    return curves(chart.series, x_label=chart.x_label, y_label=chart.y_label, height=height, width=width)


def curves(series: Sequence[Series], *, x_label: str, y_label: str, height: int = 300, width: int = WIDTH) -> str:
    """A line chart with a grid and round ticks; an empty string when there is nothing to draw.

    Points that are not finite are left out.
    """
    finite = [(line, [point for point in line.points if _drawable(*point)]) for line in series]
    lines = [Series(line.name, thinned(points), line.tone, line.dots) for line, points in finite if points]
    if not lines:
        return ""
    xs = [x for line in lines for x, _ in line.points]
    y_ticks = ticks(*_visible_range([y for line in lines for _, y in line.points]))
    frame = PlotArea((min(xs), max(xs)), (y_ticks[0], y_ticks[-1]), height, width)
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(y_label)}">']
    x_ticks = ticks(min(xs), max(xs))
    if all(x.is_integer() for x in map(float, xs)):  # steps: no tick between two of them
        x_ticks = [tick for tick in x_ticks if tick.is_integer()]
    parts += _axes(frame, x_ticks, y_ticks, x_label)
    parts += [_curve(line, frame.place) for line in lines]
    return "".join((*parts, "</svg>"))


def _drawable(x: float, y: float) -> bool:
    return abs(x) < LARGEST and abs(y) < LARGEST


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that enclose [low, high]."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def thinned(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `most` points: means of equal stretches, the first and the last point kept as they are."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    sampled = [points[0]]
    for index in range(most - 2):
        part = inner[index * len(inner) // (most - 2) : (index + 1) * len(inner) // (most - 2)]
        sampled.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return [*sampled, points[-1]]


def _visible_range(values: Sequence[float]) -> tuple[float, float]:
    """The range to draw. It leaves out single spikes of long curves, which would flatten the rest."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.985))] if len(ordered) > 60 else ordered[-1]
    return ordered[0], high


def _axes(frame: PlotArea, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str) -> list[str]:
    parts = []
    for tick in y_ticks:
        _, y = frame.place(frame.x[0], tick)
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{frame.left - 10}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for tick in x_ticks:
        if frame.x[0] <= tick <= frame.x[1]:
            x, y = frame.place(tick, frame.y[0])
            parts.append(f'<text x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle">{_tick(tick)}</text>')
    label = f'<text x="{frame.width - frame.right}" y="{frame.height - 4}" text-anchor="end">{escape(x_label)}</text>'
    return [*parts, label]


def _curve(line: Series, place: Projection) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
    parts = [f'<polyline class="line {line.tone}" points="{path}"/>']
    for x, y in line.points:
        across, up = place(x, y)
        # an invisible circle around each point shows its values as a tooltip
        radius = 4 if line.dots else 0
        title = f"<title>{escape(line.name)} {figures.significant(y)} at {figures.count(x)}</title>"
        parts.append(
            f'<g class="point {line.tone}">{title}<circle class="target" cx="{across:.1f}" cy="{up:.1f}" r="8"/>'
            f'<circle class="dot" cx="{across:.1f}" cy="{up:.1f}" r="{radius}"/></g>'
        )
    return "".join(parts)


def _tick(value: float) -> str:
    # all digits of a round number: rounded to three, ticks of 0.025 would look uneven
    return figures.short(value) if abs(value) >= 10_000 else f"{value:.6g}"
