"""The promotion ledger: runs and events equal SQL, what was seen at the till is told from what was planned."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.promotion_events import EVENT_SCHEMA, promotion_events

FIRST = date(2017, 1, 2)
WEEKS = [FIRST + timedelta(weeks=index) for index in range(20)]
LINE_SCHEMA = {
    "store_id": pl.String, "product_group": pl.String, "product_line": pl.String, "week_start_date": pl.Date,
    "transactions": pl.Int64, "sales_amount_usd": pl.Float64, "retail_discount_usd": pl.Float64,
}  # fmt: skip


def plans(*rows: tuple[str, str, str, int], products: int = 1) -> pl.DataFrame:
    """Rows of store, line, kind and index of the week."""
    starts = [FIRST + timedelta(weeks=week) for *_, week in rows]
    instants = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in starts]
    return pl.DataFrame(
        {
            "store_id": [row[0] for row in rows],
            "product_group": ["TEAS"] * len(rows),
            "product_line": [row[1] for row in rows],
            "kind": [row[2] for row in rows],
            "week_start_date": starts,
            "products": [products] * len(rows),
            "event_at": instants,
            "known_at": [instant - timedelta(days=28) for instant in instants],
        }
    )


def sales(*rows: tuple[str, str, int, int, float, float]) -> pl.DataFrame:
    """Rows of store, line, index of the week, transactions, paid, given away."""
    filled = [(s, "TEAS", line, FIRST + timedelta(weeks=week), *rest) for s, line, week, *rest in rows]
    return pl.DataFrame(filled, schema=LINE_SCHEMA, orient="row")


RECEIPTS = pl.DataFrame({"store_id": ["1"] * 20, "week_start_date": WEEKS, "transactions": list(range(100, 120))})


def test_planned_executed_and_exposed_are_told_apart() -> None:
    planned = plans(
        ("1", "A", "display", 3), ("1", "A", "display", 4), ("2", "A", "display", 3), ("3", "A", "display", 4),
        ("1", "B", "mailer", 19), ("1", "B", "mailer", 20), ("1", "B", "mailer", 25),
        products=2,
    )  # fmt: skip
    sold = sales(("1", "A", 3, 5, 9.0, 1.0), ("1", "A", 4, 2, 10.0, 0.0), ("2", "A", 3, 1, 10.0, 0.4))
    found = promotion_events(planned, sold, RECEIPTS, WEEKS)
    assert found.schema == pl.Schema(EVENT_SCHEMA)
    facts = found.select(
        "event_id", "store_id", "planned_weeks", "sold_weeks", "price_cut_weeks", "execution", "promoted_transactions",
        "exposed_transactions",
    ).rows()  # fmt: skip
    assert facts == [
        ("2017-01-23:display:A", "1", 2, 2, 1, "price_cut", 7, 103 + 104),
        ("2017-01-23:display:A", "2", 1, 1, 0, "sold", 1, 0),
        ("2017-01-23:display:A", "3", 1, 0, 0, "not_seen", 0, 0),
        ("2017-05-15:mailer:B", "1", 2, 0, 0, "not_seen", 0, 119),
        ("2017-06-26:mailer:B", "1", 1, 0, 0, "not_due", 0, 0),
    ]
    assert found["planned_products"].unique().to_list() == [2]


def test_runs_equal_sql_and_every_planned_week_is_in_one_of_them() -> None:
    random = np.random.default_rng(3)
    cells = {(str(store), str(line), str(kind), int(week)) for store, line, kind, week in zip(
        random.integers(1, 6, 400), random.choice(["A", "B"], 400), random.choice(["display", "mailer"], 400),
        random.integers(0, 20, 400), strict=True,
    )}  # fmt: skip
    planned = plans(*sorted(cells))
    found = promotion_events(planned, sales(), RECEIPTS, WEEKS)
    wanted = duckdb.sql("""
        WITH numbered AS (
            SELECT *, (week_start_date - DATE '2017-01-02') // 7
                      - row_number() OVER (PARTITION BY store_id, product_line, kind ORDER BY week_start_date) AS island
            FROM planned)
        SELECT store_id, product_line, kind, min(week_start_date), max(week_start_date), count(*)
        FROM numbered GROUP BY store_id, product_line, kind, island ORDER BY ALL
    """).fetchall()
    runs = ["store_id", "product_line", "kind", "first_week_start_date", "last_week_start_date", "planned_weeks"]
    assert found.select(runs).sort(runs).rows() == wanted
    assert found["planned_weeks"].sum() == planned.height


def test_stores_that_begin_within_a_week_share_an_event_and_later_ones_do_not() -> None:
    planned = plans(
        ("1", "A", "display", 3), ("2", "A", "display", 4), ("3", "A", "display", 5), ("4", "A", "mailer", 3)
    )
    found = promotion_events(planned, sales(), RECEIPTS, WEEKS)
    assert dict(found.select("store_id", "event_id").iter_rows()) == {
        "1": "2017-01-23:display:A",
        "2": "2017-01-23:display:A",
        "3": "2017-02-06:display:A",
        "4": "2017-01-23:mailer:A",
    }


def test_an_order_of_rows_changes_nothing() -> None:
    planned = plans(*[(str(store), "A", "display", week) for store in range(5) for week in (2, 3, 7, store + 9)])
    found = promotion_events(planned, sales(), RECEIPTS, WEEKS)
    again = promotion_events(planned.sample(fraction=1.0, shuffle=True, seed=1), sales(), RECEIPTS, WEEKS)
    assert found.equals(again)


def test_frames_that_cannot_be_right_are_refused() -> None:
    planned = plans(("1", "A", "display", 3))
    with pytest.raises(BadFrame, match="keys repeat"):
        promotion_events(pl.concat([planned, planned]), sales(), RECEIPTS, WEEKS)
    with pytest.raises(BadFrame, match="contiguous"):
        promotion_events(planned, sales(), RECEIPTS, [WEEKS[0], WEEKS[2]])
    with pytest.raises(BadFrame, match="products"):
        promotion_events(planned.drop("products"), sales(), RECEIPTS, WEEKS)
