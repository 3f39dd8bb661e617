"""Forecasts, plans and lifts of a small chain, and what is assumed about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import polars as pl

from ml.actions_limits import Assumptions, Limits

ISSUE = date(2026, 1, 5)
WEEKS = [ISSUE + timedelta(7 * n) for n in (1, 2, 3, 4)]
GROUPS = ("BEER", "COLA", "TEA")
ASSUMED = Assumptions(
    {"display": 2.0, "mailer": 1.0}, {"BEER": 30.0, "COLA": 25.0, "TEA": 40.0}, Limits(60.0, 2), 7, "v1"
)


def assumed(**limits: object) -> Assumptions:
    """The assumptions with other limits."""
    return replace(ASSUMED, limits=replace(ASSUMED.limits, **limits))  # type: ignore[arg-type]


def forecasts(stores: int = 12) -> pl.DataFrame:
    rows = [
        (week, f"S{store:02}", group, 2.0 + store, 6.0 + store, 14.0 + 2 * store, "m", "d")
        for week, store, group in product(WEEKS, range(stores), GROUPS)
    ]
    names = ["target_week_start_date", "store_id", "product_group", "p10", "p50", "p90", "model_version"]
    return pl.DataFrame(rows, schema=[*names, "data_version"], orient="row")


def lift() -> pl.DataFrame:
    rows = [
        ("BEER", "display", 20.0, 10.0, 30.0, 0.8, 900.0),
        ("BEER", "mailer", 8.0, -4.0, 20.0, 0.8, 300.0),
        ("COLA", "display", 30.0, 22.0, 38.0, 0.8, 2000.0),
        ("TEA", "mailer", 25.0, -30.0, 80.0, 0.8, 50.0),
    ]
    names = ["product_group", "kind", "lift_percent", "lower", "upper", "net_share"]
    found = pl.DataFrame(rows, schema=[*names, "base_transactions"], orient="row")
    return found.with_columns(sales_lift_percent="lift_percent", sales_lower="lower", sales_upper="upper")


def planned(rows: list[tuple[str, str, date, int, int]] | None = None) -> pl.DataFrame:
    schema = {
        "store_id": pl.String, "product_group": pl.String, "week_start_date": pl.Date, "display_products": pl.Int64,
        "mailer_products": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows or [], schema=schema, orient="row")


def sales() -> pl.DataFrame:
    return pl.DataFrame({"product_group": list(GROUPS), "net_sales_usd_per_transaction": [9.0, 4.0, 3.0]})


NOTHING_DECIDED = pl.DataFrame(
    schema={"target_week_start_date": pl.Date, "store_id": pl.String, "product_group": pl.String, "kind": pl.String}
)
