"""The features once more, as loops over dictionaries: slow, obvious, and sharing no code with ml.features."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction

import polars as pl

WEEK = timedelta(days=7)
Row = dict[str, object]
History = list[Row]


class Oracle:
    """What is visible of a series frame and of plans at one cutoff, by filtering on both times."""

    def __init__(self, series: pl.DataFrame, plans: pl.DataFrame, cutoff: date) -> None:
        self.cutoff = cutoff
        self.end: datetime = series.filter(pl.col("week_start_date") == cutoff)["event_at"][0]
        rows = series.filter(
            (pl.col("week_start_date") <= cutoff) & (pl.col("event_at") <= self.end) & (pl.col("known_at") <= self.end)
        )
        self.histories: dict[tuple[str, str], History] = {}
        for row in rows.sort("week_start_date").iter_rows(named=True):
            self.histories.setdefault((row["store_id"], row["product_group"]), []).append(row)
        self.plans = {
            (row["store_id"], row["product_group"], row["week_start_date"]): row
            for row in plans.filter(pl.col("known_at") <= self.end).iter_rows(named=True)
        }
        self.planned_weeks = {week for _, _, week in self.plans}

    def pool(self, belongs: Callable[[tuple[str, str]], bool]) -> History:
        """Sums of transactions per week over the series that belong."""
        by_week: dict[date, Row] = {}
        for key, history in self.histories.items():
            for row in history if belongs(key) else []:
                week: date = row["week_start_date"]  # type: ignore[assignment]
                total = by_week.setdefault(week, {"transactions": 0, "is_partial_week": row["is_partial_week"]})
                total["transactions"] += row["transactions"]  # type: ignore[operator]
        return [by_week[week] for week in sorted(by_week)]

    def plan(self, key: tuple[str, str], week: date, value: str) -> float | None:
        if (*key, week) in self.plans:
            return float(self.plans[(*key, week)][value])  # type: ignore[arg-type]
        return 0.0 if week in self.planned_weeks else None

    def plan_history(self, key: tuple[str, str], value: str) -> list[float | None]:
        return [self.plan(key, row["week_start_date"], value) for row in self.histories[key]]  # type: ignore[arg-type]


def values(history: History, column: str) -> list[Fraction | None]:
    """A column as exact fractions; None in partial weeks."""
    derived: dict[str, Callable[[Row], Fraction]] = {
        "discount_usd": lambda row: Fraction(row["gross_sales_usd"]) - Fraction(row["net_sales_usd"]),  # type: ignore[arg-type]
        "is_zero_week": lambda row: Fraction(row["transactions"] == 0),
    }
    read = derived.get(column, lambda row: Fraction(row[column]))  # type: ignore[arg-type]
    return [None if row["is_partial_week"] else read(row) for row in history]


def window(series: list, weeks: int, least: int) -> list | None:
    """The usable values of the last `weeks`, or None when the window does not exist."""
    usable = [value for value in series[-weeks:] if value is not None]
    return usable if len(series) >= weeks and len(usable) >= least else None


def mean(series: list, weeks: int) -> float | None:
    usable = window(series, weeks, max(1, weeks // 2))
    return None if usable is None else float(sum(usable) / len(usable))


def std(series: list, weeks: int) -> float | None:
    usable = window(series, weeks, max(2, weeks // 2))
    if usable is None:
        return None
    centre = sum(usable) / len(usable)
    return math.sqrt(sum((value - centre) ** 2 for value in usable) / (len(usable) - 1))


def largest(series: list, weeks: int) -> float | None:
    usable = window(series, weeks, max(1, weeks // 2))
    return None if usable is None else float(max(usable))


def lag(series: list, weeks: int) -> float | None:
    return None if len(series) <= weeks or series[-1 - weeks] is None else float(series[-1 - weeks])


def weighted_mean(series: list, half_life: int) -> float | None:
    alpha = 1 - 0.5 ** (1 / half_life)
    level: float | None = None
    for value in series:
        if value is not None:
            level = float(value) if level is None else alpha * float(value) + (1 - alpha) * level
    return level


def exponential_smoothing(series: list) -> float | None:
    usable = [float(value) for value in series if value is not None]
    best: tuple[float, float | None] = (math.inf, usable[0] if usable else None)
    for percent in (1, *range(5, 100, 5), 99):
        error, level = 0.0, usable[0] if usable else 0.0
        for value in usable[1:]:
            error += (value - level) ** 2
            level = percent / 100 * value + (1 - percent / 100) * level
        if len(usable) > 1 and error < best[0] * (1 - 1e-12):
            best = (error, level)
    return best[1]


def expanding_mean(series: list) -> float | None:
    usable = [value for value in series if value is not None]
    return float(sum(usable) / len(usable)) if usable else None


def weeks_since_positive(series: list) -> float | None:
    for weeks, value in enumerate(reversed(series)):
        if value is not None and value > 0:
            return float(weeks)
    return None


def ratio(upper: float | None, lower: float | None) -> float | None:
    return None if upper is None or lower is None or lower <= 0 else upper / lower


def quotient(upper: list, lower: list, weeks: int) -> float | None:
    return ratio(mean(upper, weeks), mean(lower, weeks))
