"""Plans: counts per kind become one row per series and week, shares have a fixed denominator."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.plans import promotion_plans

WEEK = date(2017, 1, 2)
EVENT, EARLY, LATE = (datetime(2017, 1, day, tzinfo=UTC) for day in (2, 3, 4))
COUNTS = pl.DataFrame(
    [
        ("s", "beer", WEEK, "display", 2, EVENT, EARLY),
        ("s", "beer", WEEK, "mailer", 5, EVENT, LATE),
        ("s", "tea", WEEK, "mailer", 1, EVENT, EARLY),
    ],
    schema=["store_id", "product_group", "week_start_date", "kind", "products", "event_at", "known_at"],
    orient="row",
)
SIZES = pl.DataFrame({"product_group": ["beer", "tea"], "products": [10, 4]})


def test_one_row_per_series_and_week() -> None:
    assert promotion_plans(COUNTS, SIZES).rows() == [
        ("s", "beer", WEEK, 2, 5, 0.2, 0.5, EVENT, LATE),
        ("s", "tea", WEEK, 0, 1, 0.0, 0.25, EVENT, EARLY),
    ]


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"No number of products for \['tea'\]"):
        promotion_plans(COUNTS, SIZES.head(1))
    with pytest.raises(BadFrame, match="keys repeat"):
        promotion_plans(pl.concat([COUNTS, COUNTS.head(1)]), SIZES)
