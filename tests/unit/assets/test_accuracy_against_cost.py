"""The metadata of a backtest that sets accuracy beside seconds."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from assets.models.demand import accuracy_against_cost


def test_errors_are_pooled_and_seconds_are_per_fold() -> None:
    metrics = pl.DataFrame(
        [
            ("slow", date(2024, 1, 1), "all", 10.0, 20.0, 0.5),
            ("slow", date(2024, 1, 8), "all", 30.0, 40.0, 0.7),
            ("slow", date(2024, 1, 8), "thin", 30.0, 90.0, 0.9),
            ("rule", date(2024, 1, 1), "all", 10.0, 80.0, None),
            ("rule", date(2024, 1, 8), "all", 0.0, None, None),
        ],
        schema=["method", "cutoff_week_start_date", "slice", "actual_sum", "wape", "rmsse"],
        orient="row",
    )
    rows = [line.strip("| ").split(" | ") for line in accuracy_against_cost(metrics, {"slow": 5.0}).splitlines()[2:]]
    slow = (10 * 20 + 30 * 40) / 40
    assert rows == [["slow", f"{slow:.1f}", f"{(0.5 + 0.7) / 2:.3f}", "2.50"], ["rule", "80.0", "-", "-"]]
    assert slow == pytest.approx(35)
