"""Good rows of real contracts, and rows with one planted fault of every kind.

Belongs here: rows and what must be counted of them. Does not belong here: the audit that counts (test_validation).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from checks.contracts.spark_schema import arrow_schema

Row = dict[str, Any]
Rows = list[Row]
CONTRACTS = load_contracts()
LINES = CONTRACTS["silver", "fct_receipt_lines"]
PROMOTIONS = CONTRACTS["silver", "fct_promotions"]
FORECASTS = CONTRACTS["forecasts", "demand_forecasts"]
PRODUCTS = CONTRACTS["silver", "dim_product"]
WEEKS = (date(2017, 11, 20), date(2017, 11, 27))
TOKEN = "hk1_" + "0" * 64
CENT = Decimal("0.0100")


def plan_of(contract: Contract) -> ValidationPlan:
    return compile_plan(to_pandera(contract))


def view(spark: SparkSession, name: str, contract: Contract, rows: Rows) -> str:
    """The rows as a temporary view with the contract's types; nulls are allowed, so that they can be planted."""
    if rows:
        schema = pa.schema([field.with_nullable(True) for field in arrow_schema(contract)])
        frame = spark.createDataFrame(pa.Table.from_pylist(rows, schema=schema))
    else:
        nulls = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in contract.columns)
        frame = spark.sql(f"SELECT {nulls} WHERE false")
    frame.createOrReplaceTempView(name)
    return name


def line(number: int, **changes: Any) -> Row:
    week = WEEKS[number % 2]
    at = datetime(week.year, week.month, week.day, 12, tzinfo=UTC) + timedelta(days=number % 5)
    row = {
        "week_start_date": week,
        "transaction_id": f"t{number}",
        "line_id": "1",
        "product_id": "p1",
        "store_id": "s1",
        "household_token": TOKEN,
        "quantity_units": Decimal("1.0000"),
        "sales_amount_usd": Decimal(number) + CENT,
        "retail_discount_usd": CENT,
        "coupon_discount_usd": Decimal("0.0000"),
        "coupon_match_discount_usd": Decimal("0.0000"),
        "returned_units": Decimal(0),
        "is_returned": False,
        "is_zero_quantity": False,
        "is_unknown_product": False,
        "is_bulk_measure": False,
        "is_non_merchandise": False,
        "event_at": at,
        "known_at": at,
        **changes,
    }
    return {**row, "net_quantity_units": row["quantity_units"], "net_sales_usd": row["sales_amount_usd"]}


def promotion(number: int, **changes: Any) -> Row:
    start = datetime(2017, 11, 20, 5, tzinfo=UTC)
    return {
        "week_start_date": WEEKS[0],
        "product_id": "p1",
        "store_id": f"s{number}",
        "kind": "display",
        "location": "3",
        "location_count": 1,
        "event_at": start,
        "known_at": start - timedelta(days=28),
        **changes,
    }


def forecast(number: int, **changes: Any) -> Row:
    return {
        "issue_week_start_date": WEEKS[1],
        "issued_as_of": datetime(2017, 12, 4, 5, tzinfo=UTC),
        "store_id": "s1",
        "product_group": "TEAS",
        "target_week_start_date": WEEKS[1] + timedelta(days=7 * number),
        "horizon_weeks": number,
        "method": "naive",
        "measure": "transactions",
        "p10": 1.0,
        "p50": 2.0,
        "p90": 3.0,
        "model_version": "naive",
        "data_version": "d",
        **changes,
    }


def version(number: int, **changes: Any) -> Row:
    return {
        "product_id": f"p{number}",
        "valid_from_at": datetime(2016, 12, 26, 5, tzinfo=UTC),
        "valid_to_at": None,
        "is_current": True,
        "manufacturer_id": "m",
        "department": "GROCERY",
        "brand": "National",
        "product_category": None,
        "product_type": None,
        "package_size": None,
        "is_bulk_measure": False,
        "product_group": "UNASSIGNED",
        **changes,
    }


GOOD_LINES = [line(number) for number in range(12)]
GOOD_LINES.append(line(12, product_id="p99", is_unknown_product=True))
BAD_TOKEN = "hk1_" + "0" * 63 + "G"
SHA = "f" * 64
# contract, good rows, planted rows, what must be counted
PLANTED: dict[str, tuple[Contract, Rows, Rows, dict[str, int]]] = {
    "not_null": (LINES, GOOD_LINES, [line(n, store_id=None) for n in (20, 21)], {"store_id_not_null": 2}),
    "range": (
        LINES,
        GOOD_LINES,
        [line(20, sales_amount_usd=-CENT), line(21, sales_amount_usd=Decimal(0))],
        {"sales_amount_usd_range": 1, "net_sales_usd_range": 1},
    ),
    "range of a date": (
        LINES,
        GOOD_LINES,
        [line(20, week_start_date=date(1999, 12, 31))],
        {"week_start_date_range": 1, "event_in_business_week": 1, "week_start_date_in_dim_date": 1},
    ),
    "finite": (
        FORECASTS,
        [forecast(1), forecast(2)],
        [forecast(3, p90=float("nan")), forecast(4, p90=float("inf")), forecast(5, p50=float("nan"), p90=float("nan"))],
        {"p90_finite": 3, "p50_finite": 1},
    ),
    "enum": (PROMOTIONS, [promotion(1), promotion(2)], [promotion(1, kind="poster")], {"kind_enum": 1}),
    "pattern": (
        LINES,
        GOOD_LINES,
        [line(20, household_token=BAD_TOKEN)],
        {"household_token_pattern": 1, "household_token_in_dim_household": 1},
    ),
    "length": (LINES, GOOD_LINES, [line(20, store_id="")], {"store_id_length": 1, "store_id_in_dim_store": 1}),
    "expression": (
        LINES,
        GOOD_LINES,
        [line(20, is_zero_quantity=True), line(21, is_zero_quantity=True, quantity_units=Decimal(0))],
        {"zero_quantity_flag": 1},
    ),
    "expression of dates": (
        FORECASTS,
        [forecast(1)],
        [forecast(2, target_week_start_date=date(2017, 12, 18))],
        {"target_follows_horizon": 1},
    ),
    "crossing quantiles": (
        FORECASTS,
        [forecast(1)],
        [forecast(2, p10=2.5), forecast(3, p90=1.5), forecast(4, p10=2.0, p90=2.0)],
        {"quantiles_ordered": 2},
    ),
    "unique": (LINES, GOOD_LINES, [line(20), line(20), line(20), line(21)], {"primary_key": 3}),
    "unique with a condition": (
        PRODUCTS,
        [version(1), version(2)],
        [version(1, valid_from_at=datetime(2017, 1, 1, tzinfo=UTC))],
        {"one_current_version": 2},
    ),
    "foreign_key": (
        LINES,
        GOOD_LINES,
        [line(20, product_id="p98"), line(21, product_id="p97", is_unknown_product=True), line(22, store_id="s9")],
        {"product_id_in_dim_product": 1, "store_id_in_dim_store": 1},
    ),
    "foreign_key with a condition": (
        FORECASTS,
        [forecast(1), forecast(1, method="catboost", model_version="abc")],
        [forecast(2, method="catboost", model_version=SHA)],
        {"model_exists": 1},
    ),
    "foreign_key that warns": (PROMOTIONS, [promotion(1)], [promotion(7)], {"store_id_in_dim_store": 1}),
    "row_count": (PROMOTIONS, [], [], {"row_count": 1}),
}
