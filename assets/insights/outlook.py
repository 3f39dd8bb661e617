"""What will sell: the newest issue in total, by group and for example series, beside what then happened.

Here: the figures of the section "What will sell".
Not here: expected values (forecasts.demand_totals), the history (sold.py), or test errors of forecasts (accuracy.py).

Tables: `scaling` (row `all`), `ahead_total` (row `window`), `ahead_week` (target week), `ahead_group` (group),
`ahead_group_week` (group@week), `sure` (row `all`), `level_error` (level), `example` (number), `example_week`
(number@week), `example_history` (number@week).
Rows with an outcome also carry `actual`; it was unknown when the forecast was issued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from assets.insights import formats, sold
from assets.insights.content import ALL, PERCENT, ReportContent, method_label
from assets.insights.figure import Figure, Section
from ml.totals import LEVELS
from ml.totals_ranges import WHOLE_WINDOW, observed_ranges, wape_by_level

SECTION = Section("outlook")
EXAMPLES = 6
EXAMPLE_HISTORY_WEEKS = 12
LEVEL_LABELS: Mapping[str, str] = {
    "total": "All together",
    "product_group": "Product groups",
    "store": "Stores",
    "series": "One product group in one store",
}
_KEY = ("store_id", "product_group")
_TARGET = "target_week_start_date"


@dataclass(frozen=True)
class Range:
    """Low and high ratio actual / expected of the whole window, and the least chance that the next falls inside."""

    low: float
    high: float
    coverage: float


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    yield SECTION.count("scaling.all.issues", int(content.totals["tests"][0]))
    ranges, groups = window_ranges(content), totals_with_outcomes(content, "product_group")
    total = totals_with_outcomes(content, "total")
    yield from _total(content, total, groups, ranges.get(ALL))
    for row in total.iter_rows(named=True):
        yield SECTION.words(f"ahead_week.{row[_TARGET]}.day", formats.short_day(row[_TARGET]))
        yield from _estimate(f"ahead_week.{row[_TARGET]}", row)
    shown = sold.shown_groups(content)
    listed = groups.filter(pl.col("product_group").is_in(shown))
    yield from _groups(content, listed, ranges, shown)
    yield from _sure(ranges, shown)
    for row in listed.iter_rows(named=True):
        yield from _estimate(f"ahead_group_week.{row['product_group']}@{row[_TARGET]}", row)
    yield from _level_errors(content)
    yield from _examples(content)


def level_rows(totals: pl.DataFrame, level: str) -> pl.DataFrame:
    """The rows of one level of forecasts.demand_totals, by group and week, with their numbers as DOUBLE."""
    numbers = ("p50_sum", "expected", "low", "high")
    rows = totals.filter(pl.col("level") == level).with_columns(pl.col(numbers).cast(pl.Float64))
    return rows.sort(*_KEY, _TARGET)


def window_ranges(content: ReportContent) -> dict[str, Range]:
    """The range of the whole window by product group, and of the total under `all`; empty with fewer than 3 tests."""
    ranges = observed_ranges(content.own_tests).filter(
        pl.col("horizon_weeks") == WHOLE_WINDOW, pl.col("level").is_in(["total", "product_group"])
    )
    found = ranges.select("product_group", "low_ratio", "high_ratio", "least_coverage")
    return {group: Range(*rest) for group, *rest in found.iter_rows()}


def with_outcomes(content: ReportContent) -> pl.DataFrame:
    """The issued rows with `actual`: the outcome where its week is known by now, else null."""
    outcome = content.outcomes.select(
        *_KEY,
        pl.col("week_start_date").alias("target_week_start_date"),
        pl.col(content.measure).cast(pl.Float64).alias("actual"),
    )
    return content.forecasts.join(outcome, on=[*_KEY, "target_week_start_date"], how="left")


def totals_with_outcomes(content: ReportContent, level: str) -> pl.DataFrame:
    """The issue's totals of one level with `actual`; it is null unless the outcome of every series is known."""
    by = [*LEVELS[level], _TARGET]
    outcome = (
        with_outcomes(content).filter(pl.col("method") == content.method).group_by(by).agg(_sum_if_known("actual"))
    )
    return level_rows(content.totals, level).join(outcome, on=by, how="left").sort(*_KEY, _TARGET)


def _sum_if_known(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name)


def window(weeks: pl.DataFrame, span: Range | None) -> dict[str, float | None]:
    """The sum over the weeks of one total, with the range of such sums."""
    row = weeks.select(pl.col("p50_sum", "expected").sum(), _sum_if_known("actual")).row(0, named=True)
    bounds = (None, None) if span is None else (row["expected"] * span.low, row["expected"] * span.high)
    return {**row, "low": bounds[0], "high": bounds[1]}


def _estimate(key: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    """A total, its range where one was observed, and the outcome where it is known."""
    for name in ("p50_sum", "expected", "low", "high"):
        yield SECTION.estimate(f"{key}.{name}", row[name])
    actual, low, high = row["actual"], row["low"], row["high"]
    yield SECTION.count(f"{key}.actual", actual)
    yield SECTION.change(f"{key}.actual_over_expected", sold.ratio_change(actual, row["expected"]))
    is_inside = None if actual is None or low is None or high is None else low <= actual <= high
    yield SECTION.yes(f"{key}.is_inside", is_inside)


def _total(content: ReportContent, weeks: pl.DataFrame, groups: pl.DataFrame, span: Range | None) -> Iterator[Figure]:
    key, targets = "ahead_total.window", weeks[_TARGET].to_list()
    yield SECTION.count(f"{key}.weeks", len(targets))
    yield SECTION.words(f"{key}.period", formats.period(targets[0], targets[-1] + timedelta(days=6)))
    total = window(weeks, span)
    expected, p50_sum = total["expected"], total["p50_sum"]
    yield from _estimate(key, total)
    yield SECTION.change(f"{key}.lowest_test", None if span is None else span.low - 1)
    yield SECTION.change(f"{key}.highest_test", None if span is None else span.high - 1)
    yield SECTION.percent(f"{key}.range_chance", None if span is None else span.coverage, 0)
    yield SECTION.change(f"{key}.scale", sold.ratio_change(expected, p50_sum))
    recent, _ = sold.recent_weeks(content)
    known = sold.weekly(content.known, content.measure).filter(pl.col("week_start_date").is_in(recent))
    last = float(known["measure"].sum())
    is_like = len(recent) == content.window_weeks
    yield SECTION.change(f"{key}.change", sold.ratio_change(expected, last) if is_like else None)
    yield SECTION.yes(f"{key}.is_clear_change", is_outside(last, total) if is_like else None)
    by_rule = groups.filter(pl.col("basis") != pl.col("method"))
    yield SECTION.count(f"{key}.groups_by_rule", by_rule["product_group"].n_unique())
    year_ago = sold.year_ago_sum(content, targets)
    yield SECTION.count(f"{key}.year_ago", year_ago)
    yield SECTION.change(f"{key}.year_change", sold.ratio_change(expected, year_ago))


def _groups(
    content: ReportContent, sums: pl.DataFrame, ranges: Mapping[str, Range], shown: list[str]
) -> Iterator[Figure]:
    recent = dict(sold.group_totals(content).select("product_group", "recent").iter_rows())
    # A window that is longer than the known weeks is compared with nothing.
    is_like = len(sold.recent_weeks(content)[0]) == content.window_weeks
    by_group = {str(name): rows for (name,), rows in sums.group_by("product_group")}
    for group in (name for name in shown if name in by_group):
        rows, key, span = by_group[group], f"ahead_group.{group}", ranges.get(group)
        total = window(rows, span)
        yield from _estimate(key, total)
        yield SECTION.change(f"{key}.low_share", None if span is None else span.low - 1, 0)
        yield SECTION.change(f"{key}.high_share", None if span is None else span.high - 1, 0)
        yield SECTION.words(f"{key}.basis", method_label(rows["basis"][0]))
        yield SECTION.yes(f"{key}.is_by_rule", rows["basis"][0] != content.method)
        last = float(recent.get(group, 0.0))
        yield SECTION.count(f"{key}.recent", last)
        yield SECTION.change(f"{key}.change", sold.ratio_change(total["expected"], last) if is_like else None)
        yield SECTION.yes(f"{key}.is_clear_change", is_outside(last, total) if is_like else None)


def _level_errors(content: ReportContent) -> Iterator[Figure]:
    """What sums of medians and expected values missed by in tests, level by level."""
    errors = {level: wapes for _, level, *wapes in wape_by_level(content.own_tests).iter_rows()}
    for level, label in LEVEL_LABELS.items():
        if level in errors:
            yield SECTION.words(f"level_error.{level}.label", label)
            for name, wape in zip(("summed_medians", "expected"), errors[level], strict=True):
                yield SECTION.percent(f"level_error.{level}.{name}", None if wape is None else wape / PERCENT)


def _sure(ranges: Mapping[str, Range], shown: list[str]) -> Iterator[Figure]:
    """How far totals of the window may lie from their estimate, in words: all groups, the surest, the least sure."""
    spans = {group: ranges[group] for group in shown if group in ranges}
    total = ranges.get(ALL)
    if total is None or not spans:
        return
    ranked = sorted(spans, key=lambda group: (spans[group].high - spans[group].low, group))
    text = f"The total may end {_around(total)} what is expected, if the coming weeks are like the tested ones."
    if len(ranked) > 1:
        text += f" Surest is {ranked[0]}, {_around(spans[ranked[0]])}; least sure is {ranked[-1]}, "
        text += f"{_around(spans[ranked[-1]])}."
    yield SECTION.words("sure.all.text", text)


def _around(span: Range) -> str:
    return f"between {formats.percent(1 - span.low, 0)} below and {formats.percent(span.high - 1, 0)} above"


def is_outside(value: float, total: Mapping[str, float | None]) -> bool | None:
    """Whether a value lies outside the range of a total; None without a range."""
    low, high = total["low"], total["high"]
    return None if low is None or high is None else not low <= value <= high


def _examples(content: ReportContent) -> Iterator[Figure]:
    """The largest series, each of another group and another store, with the model's own 80 % band."""
    rows = with_outcomes(content).filter(pl.col("method") == content.method)
    for number, (store, group) in enumerate(_largest(rows), start=1):
        mine = [pl.col("store_id") == store, pl.col("product_group") == group]
        yield SECTION.words(f"example.{number}.store", store)
        yield SECTION.words(f"example.{number}.group", group)
        history = sold.weekly(content.known.filter(*mine), content.measure).tail(EXAMPLE_HISTORY_WEEKS)
        for week, value in history.select("week_start_date", "measure").iter_rows():
            yield SECTION.count(f"example_history.{number}@{week}.measure", value)
        for row in rows.filter(*mine).sort("target_week_start_date").iter_rows(named=True):
            yield from _example_week(f"example_week.{number}@{row['target_week_start_date']}", row)


def _largest(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Store and group of the example series, by falling median forecast."""
    size = rows.group_by(_KEY).agg(pl.col("p50").sum().alias("size"))
    ranked = size.sort("size", *_KEY, descending=[True, False, False])
    chosen: dict[str, str] = {}
    for store, group in ranked.select(_KEY).iter_rows():
        if len(chosen) < EXAMPLES and store not in chosen and group not in chosen.values():
            chosen[store] = group
    return list(chosen.items())


def _example_week(key: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    for quantile in ("p10", "p50", "p90"):
        yield SECTION.number(f"{key}.{quantile}", row[quantile], 1)
    yield SECTION.count(f"{key}.actual", row["actual"])
