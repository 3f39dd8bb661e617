"""Why the model expects what it does: what the newest forecasts are made up of, and what their plans add.

Here: the figures of the section "Why".
Not here: the parts of a forecast (ml.drivers), what a promotion really added: a model's answer is no measurement.

Tables: `driver` (driver), `driver_sum` (row `all`), `driver_group` (group). Nothing is made while baselines stand in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from assets.insights import sold
from assets.insights.content import ReportContent
from assets.insights.figure import Figure, Section
from ml.driver_stability import driver_totals
from ml.features import HORIZON
from ml.frame_checks import SERIES_KEY

SECTION = Section("why")
AVERAGE = "average"
LABELS: Mapping[str, str] = {
    AVERAGE: "The model's average forecast",
    "base": "What the series and those around it sold",
    "season": "Season and holidays",
    "price": "Past prices and discounts",
    "display": "Displays, past and planned",
    "mailer": "Mailers, past and planned",
    "distribution": "Listings and weeks without a sale",
    "unexplained": "Rounding to whole numbers",
}
# In fewer refits than this a driver changes its sign with the sample.
STABLE = 0.8
_FORECAST = [*SERIES_KEY, HORIZON]


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    rows = content.drivers
    if rows.is_empty():
        return
    totals = driver_totals(rows)
    yield from _sum(rows, totals)
    named = totals.with_columns(driver=pl.when(pl.col("part") == AVERAGE).then(pl.lit(AVERAGE)).otherwise("driver"))
    for driver in dict.fromkeys(named["driver"]):
        yield from _driver(driver, named.filter(pl.col("driver") == driver))
    for group in sold.shown_groups(content):
        own = rows.filter(pl.col("product_group") == group)
        if own.height:
            yield from _group(group, own)


def _sum(rows: pl.DataFrame, totals: pl.DataFrame) -> Iterator[Figure]:
    key, forecasts = "driver_sum.all", rows.unique(_FORECAST)
    yield SECTION.words(f"{key}.label", "Sum of the median forecasts")
    yield SECTION.count(f"{key}.forecasts", forecasts.height)
    yield SECTION.count(f"{key}.p50_sum", _p50(forecasts))
    yield SECTION.count(f"{key}.refits", rows.select(pl.col("refit_count").max()).item())
    yield from _plans(key, totals)


def _driver(driver: str, parts: pl.DataFrame) -> Iterator[Figure]:
    """One driver with the sum of its parts, and whether refits agree on its sign."""
    key, share = f"driver.{driver}", parts["same_sign_share"].drop_nulls()
    yield SECTION.words(f"{key}.label", LABELS[driver])
    yield SECTION.count(f"{key}.adds", float(parts["contribution"].sum()))
    yield SECTION.percent(f"{key}.same_sign", share[0] if len(share) else None, 0)
    yield SECTION.yes(f"{key}.is_stable", share[0] >= STABLE if len(share) else None)


def _group(group: str, rows: pl.DataFrame) -> Iterator[Figure]:
    key = f"driver_group.{group}"
    yield SECTION.estimate(f"{key}.p50_sum", _p50(rows.unique(_FORECAST)))
    yield from _plans(key, driver_totals(rows))


def _plans(key: str, totals: pl.DataFrame) -> Iterator[Figure]:
    """What the model adds for the planned promotions of each kind: null where plans are not known."""
    for kind in ("display", "mailer"):
        added = totals.filter(pl.col("driver") == kind)["counterfactual"].drop_nulls()
        yield SECTION.estimate(f"{key}.{kind}_plan", float(added.sum()) if len(added) else None)


def _p50(forecasts: pl.DataFrame) -> float:
    return float(forecasts.sort(_FORECAST)["p50"].sum())
