"""Which rows the audit of some weeks reads, on a real Spark server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from resources.validation import audit
from tests.integration.planted import CENT, CONTRACTS, WEEKS, plan_of, view

pytestmark = pytest.mark.spark


def test_the_week_under_audit_is_the_one_that_the_table_is_made_by(spark: SparkSession) -> None:
    """An outcome of week 1 that is wrong belongs to the audit of week 1, whatever week asked for it."""
    labels = CONTRACTS["gold", "demand_labels"]
    cutoff = WEEKS[0] - timedelta(weeks=1)
    rows = [
        {
            "store_id": "s1", "product_group": "TEAS", "week_start_date": cutoff, "horizon_weeks": ahead,
            "target_week_start_date": week, "transactions": 1, "quantity_units": CENT, "net_sales_usd": CENT,
            "censoring": "stock_out" if week == WEEKS[1] else None,
            "matures_at": datetime(2017, 12, 31, tzinfo=UTC),
        }
        for ahead, week in enumerate(WEEKS, start=1)
    ]  # fmt: skip
    relation = view(spark, "vt_labels", labels, rows)
    sold = f"(SELECT *, target_week_start_date AS target FROM {relation})"
    series = {"gold.demand_series": f"(SELECT * EXCEPT (week_start_date), target AS week_start_date FROM {sold})"}
    for week, wrong in zip(WEEKS, ({}, {"censored_weeks_sold_nothing": 1}), strict=True):
        verdict = audit(
            spark, relation, plan_of(labels), references=series, weeks=(week, week), week_column=labels.week_column
        )
        assert (verdict.row_count, {item.rule_id: item.failing_rows for item in verdict.failures}) == (1, wrong)
