"""Which figures are drawn, and how: the book of figures in, charts out.

Here: picking series of figures and wording what a chart shows.
Not here: SVG (charts.py), numbers (the sections), or layout (templates).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from markupsafe import Markup

from assets.insights import charts
from assets.insights.charts import Bars, Span, Value, WeekChart
from assets.insights.content import method_label
from assets.insights.figure import FigureBook
from assets.insights.range_chart import RangeRow, range_chart

WIDE_PX, HALF_PX, NARROW_PX, PANEL_PX = 952, 456, 360, 292
OUTLOOK_HISTORY_WEEKS = 26
PANEL_HISTORY_WEEKS = 16
BAR_CLASSES = ("model", "rule-a", "rule-b", "rule-c")


@dataclass(frozen=True)
class Drawing:
    """One chart in two widths: the style sheet shows the one that fits, so that letters keep their size."""

    title: str
    caption: str
    wide: Markup
    narrow: Markup


@dataclass(frozen=True)
class Panel:
    """One of many small charts of the same kind."""

    title: str
    note: str
    chart: Markup


def sold(book: FigureBook) -> list[Drawing]:
    """The known weeks in the forecast measure and in net sales."""
    measure = book.text("about", "issue", "measure")
    drawings = []
    for title, name in ((f"Weekly {measure}", "measure"), ("Weekly net sales, US dollars", "net_sales")):
        history = _weeks(book, "sold_week", name)
        drawings.append(_drawing(WeekChart(title, _from_to(history), history), "", HALF_PX, 190))
    return drawings


def outlook(book: FigureBook) -> Drawing:
    """The total: half a year of history, what is expected, its range, and the outcome."""
    title = f"Weekly {book.text('about', 'issue', 'measure')}, known and expected"
    chart = _forecast_chart(book, title, "ahead_week", "")
    history = _weeks(book, "sold_week", "measure")[-OUTLOOK_HISTORY_WEEKS:]
    return _drawing(replace(chart, history=history), "", WIDE_PX, 300)


def revision(book: FigureBook) -> Drawing | None:
    """The issue before beside the newest, on the scale of what totals of the newest may miss by."""
    before = {}
    for group in book.rows("revision_group"):
        old, now = (book.value("revision_group", group, name) for name in ("before", "now"))
        if old is not None and now:
            before[group] = old / now - 1
    title = "The issue before, beside what the newest expects and the range of its tests"
    return _ranges(book, title, before, "previous-dot")


def sure(book: FigureBook) -> Drawing | None:
    """The range of each group's total around its estimate, and what then happened where it is known."""
    known = {group: book.value("ahead_group", group, "actual_over_expected") for group in book.rows("ahead_group")}
    return _ranges(book, "How far the totals of the window may lie from what is expected", known, "outcome-dot")


def _ranges(book: FigureBook, title: str, marks: Mapping[str, float | None], mark_class: str) -> Drawing | None:
    """One line per group with a range; None where no group has one."""
    rows = []
    for group in book.rows("ahead_group"):
        low, high = (book.value("ahead_group", group, name) for name in ("low_share", "high_share"))
        if low is not None and high is not None:
            text = f"{book.text('ahead_group', group, 'low_share')} to {book.text('ahead_group', group, 'high_share')}"
            rows.append(RangeRow(group, low, high, text, marks.get(group)))
    if not rows:
        return None
    wide, narrow = (range_chart(title, rows, width, mark_class) for width in (WIDE_PX, NARROW_PX))
    return Drawing(title, "", wide, narrow)


def group_panels(book: FigureBook) -> list[Panel]:
    """One small chart per product group with a forecast."""
    panels = []
    for group in book.rows("ahead_group"):
        chart = _forecast_chart(book, group, "ahead_group_week", f"{group}@")
        history = _weeks(book, "sold_group_week", "measure", f"{group}@")[-PANEL_HISTORY_WEEKS:]
        note = f"expected {book.text('ahead_group', group, 'expected')}, {book.text('ahead_group', group, 'change')}"
        panels.append(Panel(group, note, charts.week_chart(replace(chart, history=history), PANEL_PX, 150)))
    return panels


def example_panels(book: FigureBook) -> list[Panel]:
    """The largest series of the largest groups, with the model's 80 % band."""
    panels = []
    for number in book.rows("example"):
        row, group = f"{number}@", book.text("example", number, "group")
        store = f"store {book.text('example', number, 'store')}"
        chart = WeekChart(
            f"{group}, {store}",
            "History, median forecast, 80% band and what then happened",
            _weeks(book, "example_history", "measure", row),
            _weeks(book, "example_week", "p50", row),
            _spans(book, "example_week", ("p10", "p90"), row),
            _weeks(book, "example_week", "actual", row),
        )
        panels.append(Panel(group, store, charts.week_chart(chart, PANEL_PX, 150)))
    return panels


def error_by_horizon(book: FigureBook) -> list[Drawing]:
    """WAPE as bars and coverage as dots, both by horizon and method."""
    rows = [row.rpartition("@") for row in book.rows("backtest_horizon")]
    methods = list(dict.fromkeys(method for method, _, _ in rows))
    horizons = sorted({horizon for _, _, horizon in rows}, key=int)
    labels = [f"{horizon} week{'' if horizon == '1' else 's'}" for horizon in horizons]
    made = []
    for title, measure, draw, caption in (
        ("Error by weeks ahead (WAPE, lower is better)", "wape", charts.bar_chart, "Pooled over all test issues."),
        (
            "Outcomes inside the 80% band, by weeks ahead",
            "coverage_80",
            charts.coverage_chart,
            "The line marks 80%, what the bands promise.",
        ),
    ):
        bars = [
            _bars(book, method, class_, measure, horizons) for method, class_ in zip(methods, BAR_CLASSES, strict=False)
        ]
        said = "; ".join(f"{bar.name}: {', '.join(bar.texts)}" for bar in bars)
        wide, narrow = (draw(title, said, labels, bars, width) for width in (HALF_PX, NARROW_PX))
        made.append(Drawing(title, caption, wide, narrow))
    return made


def legend(book: FigureBook) -> list[tuple[str, str]]:
    """Class and label of each method, in the charts' order."""
    return [(class_, method_label(method)) for method, class_ in zip(book.rows("backtest"), BAR_CLASSES, strict=False)]


def sparkline(book: FigureBook, group: str) -> Markup:
    history = _weeks(book, "sold_group_week", "measure", f"{group}@")
    return charts.sparkline(history, f"{group}: {_from_to(history)}")


def error_mark(book: FigureBook, name: str) -> Markup:
    """The slice's error beside its best simple rule, on one scale for all slices."""
    values = [
        book.value("slice", row, measure) or 0.0 for row in book.rows("slice") for measure in ("wape", "rule_wape")
    ]
    label = f"{name}: {book.text('slice', name, 'wape')} against {book.text('slice', name, 'rule_wape')}"
    mine = book.value("slice", name, "wape") or 0.0
    return charts.error_mark(mine, book.value("slice", name, "rule_wape"), max(*values, 0.01), label)


def has_silent(book: FigureBook) -> bool:
    """Whether the medians of some listed slice are zero nearly everywhere."""
    return any(book.value("slice", name, "is_silent") for name in book.rows("slice"))


def _bars(book: FigureBook, method: str, class_: str, measure: str, horizons: list[str]) -> Bars:
    rows = [f"{method}@{horizon}" for horizon in horizons]
    known = set(book.rows("backtest_horizon"))
    values = [book.value("backtest_horizon", row, measure) if row in known else None for row in rows]
    texts = [f"{100 * value:.0f}%" if value is not None else "" for value in values]
    return Bars(method_label(method), class_, values, texts)


def _forecast_chart(book: FigureBook, title: str, table: str, prefix: str) -> WeekChart:
    forecast = _weeks(book, table, "expected", prefix)
    said = ", ".join(f"week of {week}: {value:,.0f}" for week, value in forecast)
    band = _spans(book, table, ("low", "high"), prefix)
    outcome = _weeks(book, table, "actual", prefix)
    return WeekChart(title, f"Expected {said}", (), forecast, band, outcome)


def _drawing(chart: WeekChart, caption: str, wide_px: int, height: int) -> Drawing:
    wide, narrow = (charts.week_chart(chart, width, height) for width in (wide_px, NARROW_PX))
    return Drawing(chart.title, caption, wide, narrow)


def _weeks(book: FigureBook, table: str, measure: str, prefix: str = "") -> list[Value]:
    rows = [row for row in book.rows(table) if row.startswith(prefix)]
    values = [(date.fromisoformat(row[-10:]), book.value(table, row, measure)) for row in rows]
    return [(week, value) for week, value in values if value is not None]


def _spans(book: FigureBook, table: str, measures: tuple[str, str], prefix: str = "") -> list[Span]:
    lows, highs = (dict(_weeks(book, table, measure, prefix)) for measure in measures)
    return [(week, low, highs[week]) for week, low in lows.items() if week in highs]


def _from_to(history: list[Value]) -> str:
    if not history:
        return "no known week"
    low, high = min(value for _, value in history), max(value for _, value in history)
    last = history[-1][0] + timedelta(days=6)
    return f"{len(history)} weeks to {last}, between {low:,.0f} and {high:,.0f} a week, the last {history[-1][1]:,.0f}"
