"""What sold: the weeks known at `as_of`, in total and by product group.

Here: the figures of the section "What sold".
Not here: forecasts, and weeks after `as_of`.

Tables: `sold_total` (row `all`), `sold_week` (week), `sold_group` (group), `sold_group_week` (group@week).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from assets.insights import formats
from assets.insights.content import ReportContent
from assets.insights.figure import Figure, Section

SECTION = Section("sold")
# Above this many groups only the ends of the ranking are listed.
MAX_GROUPS = 16
YEAR = timedelta(weeks=52)


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    weeks = weekly(content.known, content.measure)
    yield from _total(content, weeks)
    yield from _weeks(content, weeks)
    groups = group_totals(content)
    shown = shown_groups(content)
    yield SECTION.count("sold_groups.all.listed", len(shown))
    yield SECTION.count("sold_groups.all.not_listed", groups.height - len(shown))
    yield from _movers(groups)
    for row in groups.filter(pl.col("product_group").is_in(shown)).iter_rows(named=True):
        yield from _group(row)
    by_week = weekly(content.known, content.measure, "product_group")
    for row in by_week.filter(pl.col("product_group").is_in(shown)).iter_rows(named=True):
        yield SECTION.count(f"sold_group_week.{row['product_group']}@{row['week_start_date']}.measure", row["measure"])


def weekly(series: pl.DataFrame, measure: str, *keys: str) -> pl.DataFrame:
    """Columns `*keys, week_start_date, measure, net_sales_usd`; one row per key and week, sorted."""
    return (
        series.group_by(*keys, "week_start_date")
        .agg(
            pl.col(measure).sum().cast(pl.Float64).alias("measure"),
            pl.col("net_sales_usd").sum().cast(pl.Float64).alias("net_sales"),
        )
        .sort(*keys, "week_start_date")
    )


def recent_weeks(content: ReportContent) -> tuple[list[date], list[date]]:
    """The newest known weeks, as many as the issue looks ahead, and as many before them (empty if too few)."""
    weeks = content.known["week_start_date"].unique().sort().to_list()
    size = content.window_weeks
    return weeks[-size:], weeks[-2 * size : -size] if len(weeks) >= 2 * size else []


def group_totals(content: ReportContent) -> pl.DataFrame:
    """One row per product group by falling recent sales.

    Columns `product_group, recent, previous, recent_sales, previous_sales, change, difference, sales_share`;
    `previous`, `change` and `difference` are null where the earlier weeks are unknown.
    """
    recent, previous = recent_weeks(content)
    by_week = weekly(content.known, content.measure, "product_group")
    inside = pl.col("week_start_date").is_in(recent)
    before = pl.col("week_start_date").is_in(previous)
    nothing = pl.lit(None, dtype=pl.Float64)
    totals = by_week.group_by("product_group").agg(
        pl.col("measure").filter(inside).sum().alias("recent"),
        pl.col("net_sales").filter(inside).sum().alias("recent_sales"),
        (pl.col("measure").filter(before).sum() if previous else nothing).alias("previous"),
        (pl.col("net_sales").filter(before).sum() if previous else nothing).alias("previous_sales"),
    )
    return totals.with_columns(
        relative(pl.col("recent"), pl.col("previous")).alias("change"),
        relative(pl.col("recent_sales"), pl.col("previous_sales")).alias("sales_change"),
        (pl.col("recent") - pl.col("previous")).alias("difference"),
        (pl.col("recent_sales") / pl.col("recent_sales").sum()).alias("sales_share"),
    ).sort(["recent_sales", "product_group"], descending=[True, False])


def relative(new: pl.Expr, old: pl.Expr) -> pl.Expr:
    """new / old - 1; null where there is no base."""
    return pl.when(old > 0).then(new / old - 1)


def shown_groups(content: ReportContent) -> list[str]:
    """The groups that the page lists: all, or both ends of the ranking by change in the forecast measure."""
    groups = group_totals(content)
    if groups.height <= MAX_GROUPS:
        return groups["product_group"].to_list()
    ranked = groups.sort(["difference", "product_group"], descending=[True, False], nulls_last=True)
    half = MAX_GROUPS // 2
    ends = [*ranked["product_group"].head(half), *ranked["product_group"].tail(half)]
    return groups.filter(pl.col("product_group").is_in(ends))["product_group"].to_list()


def _total(content: ReportContent, weeks: pl.DataFrame) -> Iterator[Figure]:
    recent, previous = recent_weeks(content)
    key = "sold_total.all"
    yield SECTION.count(f"{key}.weeks", len(recent))
    yield SECTION.words(f"{key}.period", formats.period(recent[0], recent[-1] + timedelta(days=6)))
    yield SECTION.count(f"{key}.known_weeks", weeks.height)
    now, before = _sums(weeks, recent), _sums(weeks, previous)
    a_year_ago = _sums(weeks, [week - YEAR for week in recent])
    for name, shown in (("measure", SECTION.count), ("net_sales", SECTION.usd)):
        yield shown(f"{key}.recent_{name}", now[name])
        yield shown(f"{key}.previous_{name}", before[name])
        yield SECTION.change(f"{key}.change_{name}", ratio_change(now[name], before[name]))
        yield shown(f"{key}.year_ago_{name}", a_year_ago[name])
        yield SECTION.change(f"{key}.year_change_{name}", ratio_change(now[name], a_year_ago[name]))


def _sums(weeks: pl.DataFrame, wanted: list[date]) -> dict[str, float | None]:
    """Sums over the wanted weeks; nothing unless all of them are known."""
    found = weeks.filter(pl.col("week_start_date").is_in(wanted))
    if not wanted or found.height < len(wanted):
        return {"measure": None, "net_sales": None}
    return {name: float(found[name].sum()) for name in ("measure", "net_sales")}


def year_ago_sum(content: ReportContent, targets: list[date]) -> float | None:
    """The measure in the same weeks a year before the targets, if all are known."""
    return _sums(weekly(content.known, content.measure), [week - YEAR for week in targets])["measure"]


def ratio_change(new: float | None, old: float | None) -> float | None:
    """new / old - 1; None where either is unknown or there is no base."""
    return None if new is None or not old else new / old - 1


def _weeks(content: ReportContent, weeks: pl.DataFrame) -> Iterator[Figure]:
    partial = content.series.filter(pl.col("is_partial_week"), pl.col("known_at") <= content.as_of)
    yield SECTION.count("sold_weeks.all.partial", partial["week_start_date"].n_unique())
    for week, measure, net_sales in weeks.select("week_start_date", "measure", "net_sales").iter_rows():
        yield SECTION.count(f"sold_week.{week}.measure", measure)
        yield SECTION.usd(f"sold_week.{week}.net_sales", net_sales)


def _movers(groups: pl.DataFrame) -> Iterator[Figure]:
    """The largest gain and the largest loss in the forecast measure, by difference rather than by percentage."""
    known = groups.filter(pl.col("difference").is_not_null()).sort(["difference", "product_group"])
    for name, row, wanted in (("gain", known.tail(1), 1), ("loss", known.head(1), -1)):
        if row.height and wanted * row["difference"][0] > 0:
            found = row.row(0, named=True)
            yield SECTION.words(f"sold_mover.{name}.group", found["product_group"])
            yield SECTION.count(f"sold_mover.{name}.difference", abs(found["difference"]))
            text = formats.change(found["change"]) if found["change"] is not None else "from nothing"
            yield Figure(SECTION.name, f"sold_mover.{name}.change", found["change"], text)


def _group(row: Mapping[str, Any]) -> Iterator[Figure]:
    key = f"sold_group.{row['product_group']}"
    for name in ("recent", "previous", "difference"):
        yield SECTION.count(f"{key}.{name}", row[name])
    yield SECTION.change(f"{key}.change", row["change"])
    yield SECTION.usd(f"{key}.recent_sales", row["recent_sales"])
    yield SECTION.change(f"{key}.sales_change", row["sales_change"])
    yield SECTION.percent(f"{key}.sales_share", row["sales_share"])
