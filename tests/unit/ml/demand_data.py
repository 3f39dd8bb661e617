"""Small seeded demand for the tests of the core: weekly sums, promotion plans and the dense series made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from ml.business_calendar import week_ends
from ml.series import dense_series

TIMEZONE = "America/New_York"
FIRST_WEEK = date(2016, 12, 26)
DECIMAL = pl.Decimal(18, 4)
LEAD = timedelta(days=28)
LINES_SCHEMA = {
    "store_id": pl.String,
    "product_group": pl.String,
    "week_start_date": pl.Date,
    "transactions": pl.Int64,
    "quantity_units": DECIMAL,
    "net_sales_usd": DECIMAL,
    "gross_sales_usd": DECIMAL,
}
PLAN_SCHEMA = {
    "store_id": pl.String,
    "product_group": pl.String,
    "week_start_date": pl.Date,
    "display_products": pl.Int64,
    "mailer_products": pl.Int64,
    "display_share": pl.Float64,
    "mailer_share": pl.Float64,
}


def business_weeks(count: int, first: date = FIRST_WEEK) -> list[date]:
    return [first + timedelta(days=7 * position) for position in range(count)]


@dataclass(frozen=True)
class Demand:
    weeks: list[date]
    lines: pl.DataFrame
    plans: pl.DataFrame
    series: pl.DataFrame


def make_demand(
    seed: int = 0,
    weeks: int = 30,
    stores: int = 2,
    groups: int = 2,
    *,
    planned_weeks: int = 4,
    partial_first: bool = True,
    rate: float = 2.0,
) -> Demand:
    """Counts with gaps, late listings, decimal amounts; plans reach `planned_weeks` beyond the series."""
    random = np.random.default_rng(seed)
    calendar = business_weeks(weeks + planned_weeks)
    lines: list[tuple[object, ...]] = []
    plans: list[tuple[object, ...]] = []
    for store in range(stores):
        for group in range(groups):
            key = (f"s{store}", f"g{group}")
            level = rate * random.uniform(0.2, 2.0)
            listed_at = int(random.integers(0, max(1, weeks // 4)))
            for position, week in enumerate(calendar):
                displays, mailers = (int(random.integers(0, 4)) for _ in range(2))
                if displays + mailers and random.random() < 0.7:
                    plans.append((*key, week, displays, mailers, displays / 10, mailers / 10))
                baskets = int(random.poisson(level))
                if listed_at <= position < weeks and baskets:
                    units = Decimal(baskets) + Decimal(int(random.integers(0, 9)))
                    net = (units * Decimal("1.99")).quantize(Decimal("0.01"))
                    lines.append((*key, week, baskets, units, net, net + Decimal("0.37") * mailers))
    lines_weekly = pl.DataFrame(lines, schema=LINES_SCHEMA, orient="row")
    planned = pl.DataFrame(plans, schema=PLAN_SCHEMA, orient="row")
    planned = planned.with_columns(known_at=week_ends(planned["week_start_date"], TIMEZONE) - timedelta(days=7) - LEAD)
    covered = calendar[:weeks]
    partial = [covered[0]] if partial_first else []
    series = dense_series(lines_weekly, planned, covered, TIMEZONE, partial_weeks=partial)
    return Demand(covered, lines_weekly, planned, series)
