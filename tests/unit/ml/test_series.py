"""The dense spine: where it starts, what fills it, what it refuses."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import duckdb
import polars as pl
import pytest

from ml.business_calendar import week_end_at
from ml.frame_checks import BadFrame
from ml.series import SERIES_SCHEMA, dense_series
from tests.unit.ml.demand_data import FIRST_WEEK, LINES_SCHEMA, TIMEZONE, Demand, business_weeks, make_demand


@pytest.fixture(scope="module")
def demand() -> Demand:
    return make_demand(seed=2, weeks=20, stores=3, groups=3)


def test_series_equals_the_same_thing_in_sql(demand: Demand) -> None:
    lines, plans, calendar = demand.lines, demand.plans, pl.DataFrame({"week_start_date": demand.weeks})  # noqa: F841
    wanted = duckdb.sql("""
        WITH listed AS (SELECT store_id, product_group, min(week_start_date) AS first FROM lines GROUP BY ALL)
        SELECT listed.store_id, listed.product_group, calendar.week_start_date,
               coalesce(lines.transactions, 0) AS transactions,
               coalesce(lines.quantity_units, 0) AS quantity_units,
               coalesce(lines.net_sales_usd, 0) AS net_sales_usd,
               coalesce(lines.gross_sales_usd, 0) AS gross_sales_usd,
               coalesce(plans.display_products, 0) AS display_products,
               coalesce(plans.mailer_share, 0) AS mailer_share
        FROM listed JOIN calendar ON calendar.week_start_date >= listed.first
        LEFT JOIN lines USING (store_id, product_group, week_start_date)
        LEFT JOIN plans USING (store_id, product_group, week_start_date)
        ORDER BY ALL
    """).fetchall()
    columns = [
        "store_id", "product_group", "week_start_date", "transactions", "quantity_units", "net_sales_usd",
        "gross_sales_usd", "display_products", "mailer_share",
    ]  # fmt: skip
    assert demand.series.select(columns).rows() == wanted


def test_schema_times_and_flags(demand: Demand) -> None:
    assert dict(demand.series.schema) == SERIES_SCHEMA
    for week, end, known in demand.series.select("week_start_date", "event_at", "known_at").unique().iter_rows():
        assert end == known == week_end_at(week, TIMEZONE)
    partial = demand.series.filter("is_partial_week")["week_start_date"].unique().to_list()
    assert partial in ([], [FIRST_WEEK])


def test_decimals_stay_exact() -> None:
    amounts = [Decimal("0.1000"), Decimal("0.2000"), Decimal("12345678901234.5678")]
    weeks = business_weeks(3)
    lines = pl.DataFrame(
        [("s", "g", week, 1, amount, amount, amount) for week, amount in zip(weeks, amounts, strict=True)],
        schema=LINES_SCHEMA,
        orient="row",
    )
    series = dense_series(lines, make_demand(weeks=3).plans, weeks, TIMEZONE)
    assert series["net_sales_usd"].to_list() == amounts
    assert series["quantity_units"].sum() == sum(amounts)


def test_latency_moves_known_at_only(demand: Demand) -> None:
    latency = timedelta(days=2)
    late = dense_series(demand.lines, demand.plans, demand.weeks, TIMEZONE, latency=latency)
    assert (late["known_at"] - late["event_at"]).unique().to_list() == [latency]


def test_a_week_without_baskets_does_not_list_a_series() -> None:
    weeks = business_weeks(3)
    nothing, something = Decimal(0), Decimal(1)
    rows = [
        ("s", "g", weeks[0], 0, nothing, nothing, nothing),
        ("s", "g", weeks[1], 1, something, something, something),
    ]
    lines = pl.DataFrame(rows, schema=LINES_SCHEMA, orient="row")
    series = dense_series(lines, make_demand(weeks=3).plans, weeks, TIMEZONE)
    assert series["week_start_date"].to_list() == weeks[1:]


def test_wrong_input_is_refused(demand: Demand) -> None:
    lines, plans, weeks = demand.lines, demand.plans, demand.weeks
    with pytest.raises(BadFrame, match="contiguous"):
        dense_series(lines, plans, [*weeks[:5], *weeks[6:]], TIMEZONE)
    with pytest.raises(BadFrame, match="outside the covered weeks"):
        dense_series(lines, plans, weeks[:-1], TIMEZONE)
    with pytest.raises(BadFrame, match="keys repeat"):
        dense_series(pl.concat([lines, lines.head(1)]), plans, weeks, TIMEZONE)
    with pytest.raises(BadFrame, match=r"DECIMAL\(18,4\)"):
        dense_series(lines.with_columns(pl.col("net_sales_usd").cast(pl.Float64)), plans, weeks, TIMEZONE)
    with pytest.raises(BadFrame, match="not among the covered weeks"):
        dense_series(lines, plans, weeks, TIMEZONE, partial_weeks=[date(2001, 1, 1)])
