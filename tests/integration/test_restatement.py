"""The weeks that a delivery of receipt lines restates: its own, and those of the lines that it corrects or returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from resources.changes import changed_weeks, weeks_of_batches
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import load_mapping

pytestmark = pytest.mark.spark

MAPPING = """
source: till
title: A till
notice: Test data.
timezone: UTC
first_weekday: monday
currency: USD
snapshot_at: 2017-01-02T00:00:00Z
tables:
  pos_lines:
    pattern: "*.csv"
    format: csv
    event_at: CAST(at AS TIMESTAMP)
    known_at: CAST(known AS TIMESTAMP)
    duplicates: {scope: key, key: [transaction_id, line_id, known_at]}
    columns:
      transaction_id: receipt
      line_id: "'1'"
      line_kind: kind
      product_id: product
      store_id: "'s'"
      household_id: card
      quantity_units: CAST(1 AS DECIMAL(18,4))
      sales_amount_usd: CAST(2 AS DECIMAL(18,4))
      retail_discount_usd: CAST(0 AS DECIMAL(18,4))
      coupon_discount_usd: CAST(0 AS DECIMAL(18,4))
      coupon_match_discount_usd: CAST(0 AS DECIMAL(18,4))
      is_zero_quantity: 'FALSE'
      is_non_merchandise: 'FALSE'
"""
HEADER = "receipt,kind,product,card,at,known\n"
Weeks = tuple[date, date]
WEEK_1, WEEK_2, WEEK_3, WEEK_4 = (date(2017, 1, day) for day in (2, 9, 16, 23))


@pytest.fixture
def deliver(lake: Lake, tmp_path: Path) -> Iterator[Callable[..., Weeks]]:
    """Ingests lines as one file; returns the first and the last week that the ledger books for it."""
    (tmp_path / "till.yaml").write_text(MAPPING, encoding="utf-8")
    contracts = load_contracts()
    lake.prepare()
    ingest = Ingest(lake, load_mapping("till", tmp_path), contracts)
    plan = compile_plan(to_pandera(contracts["bronze", "pos_lines"]))

    def delivered(name: str, *lines: str) -> Weeks:
        path = tmp_path / f"{name}.csv"
        path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        receipt = ingest.file("pos_lines", path, plan)
        assert receipt is not None
        assert receipt.accepted == len(lines)
        assert receipt.first_week_start_date is not None
        assert receipt.last_week_start_date is not None
        return receipt.first_week_start_date, receipt.last_week_start_date

    yield delivered
    for table in ("pos_lines", "ingest_ledger", "quarantine"):
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")


def test_a_delivery_restates_what_it_corrects_and_what_it_returns(deliver: Callable[..., Weeks]):
    first = deliver(
        "first",
        "r1,sale,tea,h1,2017-01-03 12:00:00,2017-01-03 12:00:00",
        "r2,sale,tea,h2,2017-01-10 12:00:00,2017-01-10 12:00:00",
        "r3,sale,milk,h1,2017-01-11 12:00:00,2017-01-11 12:00:00",
    )
    assert first == (WEEK_1, WEEK_2)
    # Nothing was brought back yet: a sale is its own week's alone, whoever buys.
    assert deliver("sale", "r4,sale,tea,h1,2017-01-17 12:00:00,2017-01-17 12:00:00") == (WEEK_3, WEEK_3)
    # A correction moves a line into another week, a void takes one back: the week it leaves is restated too.
    assert deliver("corrected", "r2,sale,tea,h2,2017-01-17 12:00:00,2017-01-18 12:00:00") == (WEEK_2, WEEK_3)
    assert deliver("void", "r1,void,tea,h1,2017-01-24 12:00:00,2017-01-24 12:00:00") == (WEEK_1, WEEK_4)
    # A return reaches the sales of its household and product, and from then on so does every sale of this chain.
    assert deliver("return", "r5,return,milk,h1,2017-01-24 12:00:00,2017-01-24 12:00:00") == (WEEK_2, WEEK_4)
    assert deliver("late sale", "r6,sale,milk,h1,2017-01-18 12:00:00,2017-01-25 12:00:00") == (WEEK_2, WEEK_4)
    assert deliver("other", "r7,sale,milk,h2,2017-01-18 12:00:00,2017-01-25 12:00:00") == (WEEK_3, WEEK_3)


def test_the_weeks_since_a_version_are_those_of_all_batches_since_and_no_week_between(
    lake: Lake, deliver: Callable[..., Weeks]
):
    deliver("first", "r1,sale,tea,h1,2017-01-03 12:00:00,2017-01-03 12:00:00")
    lines = load_contracts()["bronze", "pos_lines"]
    before = lake.token(lines)
    deliver("far", "r2,sale,tea,h2,2017-01-24 12:00:00,2017-01-24 12:00:00")
    assert changed_weeks(lake, lines, before, lake.token(lines)) == (WEEK_4,)
    deliver("void", "r1,void,tea,h1,2017-01-25 12:00:00,2017-01-25 12:00:00")
    assert changed_weeks(lake, lines, before, lake.token(lines)) == (WEEK_1, WEEK_4)
    (batch,) = lake.query("SELECT DISTINCT batch_id FROM bronze.pos_lines WHERE line_kind = 'void'")["batch_id"]
    assert weeks_of_batches(lake, lines, [batch]) == (WEEK_1, WEEK_4)
    # Without a new batch nobody knows what has changed.
    lake.spark.sql("UPDATE bronze.pos_lines SET store_id = 't' WHERE transaction_id = 'r2'")
    now = lake.token(lines)
    lake.spark.sql("UPDATE bronze.pos_lines SET store_id = 's' WHERE transaction_id = 'r2'")
    assert changed_weeks(lake, lines, now, lake.token(lines)) is None
