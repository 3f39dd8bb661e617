"""Small promotions by hand: flat sales that differ by store, with a bump where a test wants one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from ml.promotion_events import promotion_events

FIRST = date(2017, 1, 2)
WEEKS = [FIRST + timedelta(weeks=index) for index in range(40)]
STORES = [f"{index:02}" for index in range(20)]
Run = tuple[str, str, int, int]


def run(
    store: int, first: int, weeks: int = 2, kind: str = "display", line: str = "A1"
) -> tuple[str, str, str, int, int]:
    return (STORES[store], line, kind, first, weeks)


def ledger(runs: Sequence[tuple[str, str, str, int, int]], lead_days: int = 28) -> pl.DataFrame:
    """gold.promotion_events of runs: store, line, kind, index of the first week, weeks."""
    rows = [(s, line, kind, FIRST + timedelta(weeks=first + i)) for s, line, kind, first, n in runs for i in range(n)]
    instants = [datetime(row[3].year, row[3].month, row[3].day, tzinfo=UTC) for row in rows]
    plans = pl.DataFrame(
        {
            "store_id": [row[0] for row in rows],
            "product_group": [row[1][0] for row in rows],
            "product_line": [row[1] for row in rows],
            "kind": [row[2] for row in rows],
            "week_start_date": [row[3] for row in rows],
            "products": [1] * len(rows),
            "event_at": instants,
            "known_at": [instant - timedelta(days=lead_days) for instant in instants],
        }
    )
    nothing = pl.DataFrame(
        schema={
            "store_id": pl.String, "product_group": pl.String, "product_line": pl.String, "week_start_date": pl.Date,
            "transactions": pl.Int64, "sales_amount_usd": pl.Float64, "retail_discount_usd": pl.Float64,
        }
    )  # fmt: skip
    stores = pl.DataFrame({"store_id": [STORES[0]], "week_start_date": [WEEKS[0]], "transactions": [1]})
    return promotion_events(plans, nothing, stores, WEEKS)


def sums(lines: Mapping[str, np.ndarray]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """line_weeks and group_weeks of transactions [store, week] by line; a group is a line's first letter."""
    frames = [
        pl.DataFrame(
            {
                "store_id": np.repeat(STORES, len(WEEKS)),
                "product_group": [line[0]] * counts.size,
                "product_line": [line] * counts.size,
                "week_start_date": WEEKS * len(STORES),
                "transactions": counts.ravel(),
                "quantity_units": 2 * counts.ravel(),
                "net_sales_usd": 5.0 * counts.ravel(),
            }
        )
        for line, counts in lines.items()
    ]
    rows = pl.concat(frames)
    measures = ("transactions", "quantity_units", "net_sales_usd")
    groups = rows.group_by("store_id", "product_group", "week_start_date").agg(pl.col(measures).sum())
    return rows, groups


def flat() -> dict[str, np.ndarray]:
    """Store i sells 10 + i of line A1, twice that of A2 and three times of B1, every week."""
    level = (10.0 + np.arange(len(STORES)))[:, None] * np.ones(len(WEEKS))
    return {"A1": level.copy(), "A2": 2 * level, "B1": 3 * level}
