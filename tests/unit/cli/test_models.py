"""What `liftlake forecast show` says of totals."""

from __future__ import annotations

import polars as pl
import pytest

from cli.models import expected_of
from ml.totals_tables import issue_totals, totals_backtest
from tests.unit.ml.totals_data import HORIZONS, make_issued, make_scored, make_series


@pytest.fixture(scope="module")
def totals() -> pl.DataFrame:
    series = make_series()
    return issue_totals(make_issued(series), series, totals_backtest(make_scored(series), series, "transactions"))


@pytest.mark.parametrize(
    ("store", "group", "level"),
    [
        (None, None, "total"),
        ("7", None, "store"),
        (None, "BEERS/ALES", "product_group"),
        ("7", "BEERS/ALES", "series"),
    ],
)
def test_what_is_asked_for_is_summed(totals: pl.DataFrame, store: str | None, group: str | None, level: str) -> None:
    week = str(totals["issue_week_start_date"][0])
    found = expected_of(totals, week, store, group)
    assert {row["level"] for row in found} == {level}
    series = totals.filter(level="series").iter_rows(named=True)
    parts = [row for row in series if store in (None, row["store_id"]) and group in (None, row["product_group"])]
    for row, horizon in zip(found, HORIZONS, strict=True):
        wanted = sum(part["expected"] for part in parts if part["horizon_weeks"] == horizon)
        assert row["expected"] == float(wanted)
        assert (row["low"] is None) == (level == "series")


def test_an_issue_without_totals_shows_none(totals: pl.DataFrame) -> None:
    assert expected_of(totals, "2001-01-01", None, None) == []
