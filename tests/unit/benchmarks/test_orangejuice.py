"""The protocol of the orange juice rounds, and our scorer on the leaderboard's own submissions."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import pytest

from benchmarks.orangejuice import FIRST_WEEK, cube_at, read_sales, rounds_of
from ml.evaluation_points import mape, wape
from ml.frame_checks import BadFrame


@pytest.fixture(scope="module")
def folder() -> Path:
    root = os.environ.get("LIFTLAKE_REFERENCE_DATA")
    if not root or not (Path(root) / "orangejuice").is_dir():
        pytest.skip("LIFTLAKE_REFERENCE_DATA has no orangejuice")
    return Path(root) / "orangejuice"


@pytest.mark.parametrize(
    ("text", "last_week", "rounds"),
    [
        (None, 148, [1, 2, 3, 4, 5, 6]),
        ("1-6", 160, [1, 2, 3, 4, 5, 6]),
        ("3", 148, [3]),
        (None, 160, list(range(1, 13))),
    ],
)
def test_rounds_are_those_that_the_weeks_allow(text: str | None, last_week: int, rounds: list[int]) -> None:
    assert rounds_of(text, last_week) == rounds


@pytest.mark.parametrize(("text", "last_week"), [("7", 148), ("0-2", 148), ("4-3", 148), (None, 137), ("13", 170)])
def test_rounds_beyond_the_data_are_refused(text: str | None, last_week: int) -> None:
    with pytest.raises(BadFrame, match="can be scored"):
        rounds_of(text, last_week)


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFrame, match="must hold"):
        read_sales(tmp_path)


def test_a_round_knows_no_sale_after_its_cutoff_and_no_plan_after_its_last_week(folder: Path) -> None:
    cube = cube_at(read_sales(folder), 135)
    assert cube.weeks[-1] == 138
    assert np.isnan(cube.demand[:, :, 136 - FIRST_WEEK :]).all()
    assert np.isfinite(cube.demand[:, :, 135 - FIRST_WEEK]).any()
    assert cube.shape[:2] == (83, 11)


def test_our_scorer_gives_the_published_scores(folder: Path) -> None:
    """Median over the five seeds of each submission, rounds 1 to 6, as recomputed in the leaderboard file."""
    outcomes = read_sales(folder).select("store", "brand", "week", outcome="demand_units")
    rows = pl.read_parquet(folder / "tsperf_submissions_r1_6.parquet").join(outcomes, on=["store", "brand", "week"])
    published = pl.read_csv(folder / "tsperf_leaderboard.csv")
    for model in ("LightGBM", "DilatedCNN", "SeasonalNaive"):
        runs = [part for (name, _), part in rows.group_by("model", "seed") if name == model]
        expected = published.filter(pl.col("model") == model).row(0, named=True)
        assert median(mape(run["outcome"], run["prediction"]) for run in runs) == pytest.approx(
            expected["mape_r1_6_recomputed"], abs=0.006
        )
        assert median(wape(run["outcome"], run["prediction"]) for run in runs) == pytest.approx(
            expected["wape_r1_6_recomputed"], abs=0.006
        )
