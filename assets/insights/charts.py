"""The charts of the page as inline SVG: text stays text, the style sheet colours it, equal input gives equal bytes.

Here: weeks as lines with a forecast band, bars by horizon, coverage dots, and the small marks inside tables.
Not here: which numbers are drawn (the page takes them from the figures), or PNG plots (resources/plots.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from markupsafe import Markup

from assets.insights import formats, svg
from assets.insights.svg import Point, Scale

Value = tuple[date, float]
Span = tuple[date, float, float]
HALF_WEEK = timedelta(days=3.5).total_seconds() / 86_400
CHARACTER_PX = 7
SMALL_PX = 420


@dataclass(frozen=True)
class WeekChart:
    """Weekly values: history, then a forecast with its band, and what then happened where it is known."""

    title: str
    description: str
    history: Sequence[Value]
    forecast: Sequence[Value] = ()
    band: Sequence[Span] = ()
    outcome: Sequence[Value] = ()


@dataclass(frozen=True)
class Bars:
    """One colour of bars; `texts` are printed above them."""

    name: str
    class_: str
    values: Sequence[float | None]
    texts: Sequence[str]


@dataclass(frozen=True)
class Plane:
    """The drawing area of a chart and its two scales."""

    width: int
    height: int
    x: Scale
    y: Scale

    def points(self, values: Sequence[Value]) -> list[Point]:
        """A week's value stands in the middle of its week."""
        return [(self.x(week.toordinal() + HALF_WEEK), self.y(value)) for week, value in values]


def week_chart(chart: WeekChart, width: int, height: int) -> Markup:
    """A line chart of weeks, its axis from 0."""
    highest = max(
        [value for _, value in (*chart.history, *chart.forecast, *chart.outcome)]
        + [high for _, _, high in chart.band]
        + [0.0]
    )
    steps = svg.ticks(highest, 4 if height > SMALL_PX // 2 else 3)
    weeks = sorted({value[0] for value in (*chart.history, *chart.forecast, *chart.band, *chart.outcome)})
    left = 10 + 6.6 * max(len(_tick(step, steps)) for step in steps)
    plane = Plane(
        width,
        height,
        Scale(weeks[0].toordinal(), weeks[-1].toordinal() + 7, left, width - 8),
        Scale(0, steps[-1], height - 22, 14),
    )
    parts = [*_horizon(chart, plane), *_axes(plane, steps, weeks), *_band(chart, plane), *_lines(chart, plane)]
    return svg.drawing(width, height, f"{chart.title}. {chart.description}", parts, "chart")


def _tick(step: float, steps: Sequence[float]) -> str:
    return formats.number(step, 0 if all(value == int(value) for value in steps) else 1)


def _horizon(chart: WeekChart, plane: Plane) -> list[Markup]:
    """A tint behind the weeks that were still to come."""
    if not chart.forecast:
        return []
    start = plane.x(chart.forecast[0][0].toordinal())
    return [svg.rectangle((start, 14), plane.x.end - start, plane.y.start - 14, "future")]


def _axes(plane: Plane, steps: Sequence[float], weeks: Sequence[date]) -> list[Markup]:
    parts: list[Markup] = []
    for step in steps:
        height = plane.y(step)
        parts.append(svg.line((plane.x.start, height), (plane.x.end, height), "grid" if step else "base"))
        parts.append(svg.text(plane.x.start - 6, height + 4, _tick(step, steps), "tick end"))
    free = plane.x.start
    for month in _month_starts(weeks[0], weeks[-1] + timedelta(days=6)):
        x = plane.x(month.toordinal())
        parts.append(svg.line((x, plane.y.start), (x, plane.y.start + 4), "base"))
        label = formats.MONTHS[month.month - 1][:3] + (f" {month.year}" if month.month == 1 else "")
        end = x + CHARACTER_PX * len(label)
        if x >= free and end <= plane.width:
            parts.append(svg.text(x, plane.y.start + 16, label))
            free = end + CHARACTER_PX
    return parts


def _month_starts(first: date, last: date) -> list[date]:
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    starts = [date(month // 12, month % 12 + 1, 1) for month in months]
    return [start for start in starts if first <= start <= last]


def _band(chart: WeekChart, plane: Plane) -> list[Markup]:
    if not chart.band:
        return []
    low = plane.points([(week, low) for week, low, _ in chart.band])
    high = plane.points([(week, high) for week, _, high in chart.band])
    return [svg.polygon([*low, *reversed(high)], "band")]


def _lines(chart: WeekChart, plane: Plane) -> list[Markup]:
    history, forecast = plane.points(chart.history), plane.points(chart.forecast)
    outcome = plane.points(chart.outcome)
    parts = [svg.polyline(run, "history") for run in _runs(chart.history, history)]
    parts += [svg.polyline([*history[-1:], *forecast], "forecast")] if forecast else []
    parts += [svg.polyline(outcome, "outcome")] if outcome else []
    for points, values, name in ((forecast, chart.forecast, "forecast"), (outcome, chart.outcome, "outcome")):
        label = {"forecast": "expected", "outcome": "what then happened"}[name]
        parts += [
            svg.dot(point, 3, f"{name}-dot", f"{formats.short_day(week)}: {label} {formats.estimate(value)}")
            for point, (week, value) in zip(points, values, strict=True)
        ]
    return parts


def _runs(values: Sequence[Value], points: Sequence[Point]) -> list[list[Point]]:
    """Points split where weeks are missing, so that no line is drawn across a gap."""
    runs: list[list[Point]] = [[points[0]]] if points else []
    for (before, after), point in zip(pairwise(values), points[1:], strict=True):
        if (after[0] - before[0]).days > 7:  # noqa: PLR2004 - a week has seven days
            runs.append([])
        runs[-1].append(point)
    return runs


def bar_chart(title: str, description: str, labels: Sequence[str], bars: Sequence[Bars], width: int) -> Markup:
    """Grouped upright bars with their numbers above; the axis starts at 0 and needs no ticks."""
    height, base = 220, 194
    highest = max((value for bar in bars for value in bar.values if value is not None), default=1.0)
    y = Scale(0, highest or 1.0, base, 22)
    group = (width - 8) / max(len(labels), 1)
    each = min(group * 0.84 / len(bars), 64)
    parts = [svg.line((4, base), (width - 4, base), "base")]
    for index, label in enumerate(labels):
        center = 4 + group * (index + 0.5)
        parts.append(svg.text(center, base + 18, label, "tick middle"))
        for place, bar in enumerate(bars):
            value = bar.values[index]
            if value is None:
                continue
            left = center + (place - len(bars) / 2) * each
            parts.append(svg.rectangle((left + 1.5, y(value)), each - 3, base - y(value), bar.class_, bar.name))
            parts.append(svg.text(left + each / 2, y(value) - 5, bar.texts[index], "value middle"))
    return svg.drawing(width, height, f"{title}. {description}", parts, "chart")


def coverage_chart(title: str, description: str, labels: Sequence[str], bars: Sequence[Bars], width: int) -> Markup:
    """Dots by horizon around the nominal 80 % line. The axis does not start at 0: dots, unlike bars, allow that."""
    height, base = 220, 194
    values = [value for bar in bars for value in bar.values if value is not None]
    lowest = min([0.6, *(int(value * 10) / 10 for value in values)])
    y = Scale(lowest, 1.0, base, 14)
    parts: list[Markup] = []
    for step in range(round(lowest * 10), 11, 1):
        level = "target" if step == 8 else "grid"  # noqa: PLR2004 - 80 %, the nominal coverage
        parts.append(svg.line((44, y(step / 10)), (width - 4, y(step / 10)), level))
        parts.append(svg.text(38, y(step / 10) + 4, f"{step * 10}%", "tick end"))
    group = (width - 52) / max(len(labels), 1)
    for index, label in enumerate(labels):
        center = 48 + group * (index + 0.5)
        parts.append(svg.text(center, base + 18, label, "tick middle"))
        for place, bar in enumerate(bars):
            value = bar.values[index]
            if value is not None:
                x = center + (place - (len(bars) - 1) / 2) * min(group / (len(bars) + 1), 26)
                parts.append(svg.dot((x, y(value)), 5, bar.class_, f"{bar.name}: {bar.texts[index]}"))
    return svg.drawing(width, height, f"{title}. {description}", parts, "chart")


def sparkline(values: Sequence[Value], label: str) -> Markup:
    """A year in a table cell, from 0, the newest week marked."""
    if not values:
        return Markup()
    width, height = 120, 28
    x = Scale(values[0][0].toordinal(), max(values[-1][0].toordinal(), values[0][0].toordinal() + 7), 3, width - 4)
    y = Scale(0, max([1.0, *(value for _, value in values)]), height - 3, 3)
    points = [(x(week.toordinal()), y(value)) for week, value in values]
    parts = [svg.polyline(points, "history"), svg.dot(points[-1], 2.4, "history-dot")]
    return svg.drawing(width, height, label, parts, "spark")


def error_mark(mine: float, rule: float | None, highest: float, label: str) -> Markup:
    """Two dots on one line in a table cell: the model's error and the simple rule's."""
    width, height = 130, 20
    x = Scale(0, highest, 6, width - 6)
    parts = [svg.line((6, 10), (width - 6, 10), "grid")]
    if rule is not None:
        parts.append(svg.line((x(mine), 10), (x(rule), 10), "gap"))
        parts.append(svg.dot((x(rule), 10), 4, "rule-a"))
    parts.append(svg.dot((x(mine), 10), 5, "model"))
    return svg.drawing(width, height, label, parts, "spark")
