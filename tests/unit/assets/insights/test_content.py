"""What a report refuses to be made from, and what it may call known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import polars as pl
import pytest

from assets.insights.content import ReportContent
from tests.unit.assets.insights.small_frames import (
    AS_OF,
    make_backtest,
    make_forecasts,
    make_series,
    make_tests,
    make_totals,
)


def test_known_weeks_end_at_as_of(base_content: ReportContent) -> None:
    assert base_content.known["known_at"].max() == AS_OF
    assert base_content.outcomes["known_at"].min() == AS_OF + timedelta(days=7)
    whole = base_content.series.filter(~pl.col("is_partial_week")).height
    assert base_content.known.height + base_content.outcomes.height == whole < base_content.series.height


def test_a_missing_column_is_named(make_content: Callable[..., ReportContent]) -> None:
    with pytest.raises(ValueError, match=r"series lacks the columns \['net_sales_usd'\]"):
        make_content(series=make_series().drop("net_sales_usd"))


@pytest.mark.parametrize("name", ["series", "forecasts", "totals", "tests", "backtest"])
def test_a_needed_frame_without_rows_is_refused(
    make_content: Callable[..., ReportContent], base_content: ReportContent, name: str
) -> None:
    with pytest.raises(ValueError, match=f"{name} has no rows"):
        make_content(**{name: getattr(base_content, name).clear()})


@pytest.mark.parametrize("as_of", [AS_OF.replace(tzinfo=None), AS_OF.astimezone(timezone(timedelta(hours=1)))])
def test_as_of_is_an_instant_in_utc(make_content: Callable[..., ReportContent], as_of: datetime) -> None:
    with pytest.raises(ValueError, match="as_of must be an instant in UTC"):
        make_content(as_of=as_of)


def test_series_instants_are_in_utc(make_content: Callable[..., ReportContent]) -> None:
    with pytest.raises(ValueError, match="known_at"):
        make_content(series=make_series().with_columns(pl.col("known_at").dt.replace_time_zone(None)))


def test_one_issue_at_a_time(make_content: Callable[..., ReportContent]) -> None:
    older = make_forecasts().with_columns(pl.col("issue_week_start_date") - timedelta(weeks=1))
    with pytest.raises(ValueError, match="several values of issue_week_start_date"):
        make_content(forecasts=pl.concat([make_forecasts(), older]))


def test_the_shown_method_must_have_been_issued(make_content: Callable[..., ReportContent]) -> None:
    rules_only = make_forecasts().filter(pl.col("method") != "catboost")
    with pytest.raises(ValueError, match="no row of the method 'catboost'"):
        make_content(forecasts=rules_only)
    totals = make_totals(rules_only, make_tests())
    assert make_content(forecasts=rules_only, totals=totals, champion=None).method == "mean_8"
    with pytest.raises(ValueError, match="totals are not those of 'mean_8'"):
        make_content(forecasts=rules_only, champion=None)


def test_totals_are_of_the_newest_issue(
    make_content: Callable[..., ReportContent], base_content: ReportContent
) -> None:
    with pytest.raises(ValueError, match="totals are not those of 'catboost' at 2024-03-18"):
        make_content(totals=base_content.earlier_totals)


def test_fractions_are_not_taken_for_percentages(make_content: Callable[..., ReportContent]) -> None:
    with pytest.raises(ValueError, match="looks like a fraction; give percentages"):
        make_content(backtest=make_backtest().with_columns(pl.col("wape", "bias") / 100))
