"""The Markdown plots: small, deterministic PNG pictures, and clear refusals."""

from __future__ import annotations

import base64
import re
from datetime import date, timedelta

import polars as pl
import pytest

from resources import plots

FIRST = date(2017, 1, 2)


def _series(groups: int = 2, weeks: int = 40) -> pl.DataFrame:
    rows = [
        ("7", f"GROUP {group}", FIRST + timedelta(weeks=week), (week * 7 + group) % 11, week == 0)
        for group in range(groups)
        for week in range(weeks)
    ]
    columns = ["store_id", "product_group", "week_start_date", "transactions", "is_partial_week"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _forecasts(group: str = "GROUP 1") -> pl.DataFrame:
    rows = [
        ("7", group, FIRST + timedelta(weeks=39 + h), h, "catboost", "transactions", 1.0, 4.0, 8.0)
        for h in (1, 2, 3, 4)
    ]
    columns = ["store_id", "product_group", "target_week_start_date", "horizon_weeks", "method", "measure"]
    return pl.DataFrame(rows, schema=[*columns, "p10", "p50", "p90"], orient="row")


def _backtest() -> pl.DataFrame:
    rows = [(method, "all", h, 100.0, 40.0 + h) for method in ("naive", "catboost", "mean_8") for h in (1, 2, 3, 4)]
    return pl.DataFrame(rows, schema=["method", "slice", "horizon_weeks", "actual_sum", "wape"], orient="row")


def _trials() -> pl.DataFrame:
    rows = [(0, 44.0, True), (1, None, False), (2, 43.9, False)]
    return pl.DataFrame(rows, schema=["trial", "wape", "is_chosen"], orient="row")


def _picture(markdown: str) -> tuple[str, bytes]:
    found = re.fullmatch(r"!\[([^\[\]]*)\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found
    return found[1], base64.b64decode(found[2])


def test_each_plot_is_one_small_picture_and_always_the_same() -> None:
    for draw in (
        lambda: plots.weekly_totals(_series()),
        lambda: plots.accuracy_by_horizon(_backtest()),
        lambda: plots.largest_series_band(_series(), _forecasts()),
        lambda: plots.wape_by_trial(_trials()),
    ):
        first = draw()
        _, picture = _picture(first)
        assert picture.startswith(b"\x89PNG\r\n")
        assert len(first) < 60_000
        assert draw() == first


def test_the_picture_follows_the_data() -> None:
    doubled = _series().with_columns(pl.col("transactions") * pl.col("transactions"))
    assert plots.weekly_totals(doubled) != plots.weekly_totals(_series())
    partial = _series().with_columns(
        pl.when(pl.col("is_partial_week")).then(999).otherwise("transactions").alias("transactions")
    )
    assert plots.weekly_totals(partial) == plots.weekly_totals(_series())


def test_names_cannot_leave_the_alternative_text() -> None:
    hostile = "A](x)![b]<i>$\\frac{"
    renamed = _series().with_columns(pl.lit(hostile).alias("product_group"))
    alt, _ = _picture(plots.largest_series_band(renamed, _forecasts(hostile)))
    assert alt.startswith("Forecast with its 80% band of A")


def test_empty_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="series: no rows to plot"):
        plots.weekly_totals(_series().clear())
    with pytest.raises(ValueError, match="backtest: no rows to plot"):
        plots.accuracy_by_horizon(_backtest().clear())
    with pytest.raises(ValueError, match="trials: no rows to plot"):
        plots.wape_by_trial(_trials().clear())
    with pytest.raises(ValueError, match="forecasts of mean_8: no rows to plot"):
        plots.largest_series_band(_series(), _forecasts(), method="mean_8")
