"""Which stores are forecast, and promotion plans as figures of a group."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml.plans import promotion_plans
from ml.scope import eligible_stores

WEEKS = [date(2017, 1, 2) + timedelta(days=7 * n) for n in range(4)]
INSTANT = datetime(2017, 1, 2, 5, tzinfo=UTC)


def series(transactions: dict[str, list[int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (store, week, count)
            for store, counts in transactions.items()
            for week, count in zip(WEEKS, counts, strict=True)
        ],
        schema={"store_id": pl.String, "week_start_date": pl.Date, "transactions": pl.Int64},
        orient="row",
    )


def test_a_store_is_eligible_by_its_past_alone():
    frame = series({"busy": [5, 5, 5, 5], "thin": [1, 1, 1, 1], "late": [0, 0, 0, 40]})
    found = eligible_stores(frame, WEEKS, 5.0)
    expected = {("busy", week) for week in WEEKS} | {("late", WEEKS[3])}
    assert set(found.rows()) == expected


def test_later_weeks_change_nothing():
    frame = series({"a": [5, 5, 5, 5], "b": [9, 0, 0, 0]})
    before = eligible_stores(frame.filter(pl.col("week_start_date") <= WEEKS[1]), WEEKS[:2], 5.0)
    assert eligible_stores(frame, WEEKS[:2], 5.0).equals(before)


def counts(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [("7", group, WEEKS[0], kind, n, INSTANT, INSTANT) for group, kind, n in rows],
        schema={
            "store_id": pl.String, "product_group": pl.String, "week_start_date": pl.Date, "kind": pl.String,
            "products": pl.Int64, "event_at": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )  # fmt: skip


def test_shares_are_of_the_product_file():
    sizes = pl.DataFrame({"product_group": ["TEAS", "WATER"], "products": [8, 4]})
    plans = promotion_plans(counts([("TEAS", "display", 2), ("TEAS", "mailer", 4), ("WATER", "mailer", 1)]), sizes)
    assert plans.select(
        "product_group", "display_products", "mailer_products", "display_share", "mailer_share"
    ).rows() == [
        ("TEAS", 2, 4, 0.25, 0.5),
        ("WATER", 0, 1, 0.0, 0.25),
    ]


def test_a_group_without_a_size_is_named():
    with pytest.raises(ValueError, match="WATER"):
        promotion_plans(counts([("WATER", "mailer", 1)]), pl.DataFrame({"product_group": ["TEAS"], "products": [8]}))
