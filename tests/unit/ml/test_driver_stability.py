"""Refits draw whole blocks of weeks, and the spread of the parts is that of the refits."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ml.driver_stability import STABILITY_SCHEMA, Refits, refits, with_stability
from ml.drivers import DRIVER_KEY, decompose, explained
from ml.forecaster import CalibratedModel, training_rows
from ml.frame_checks import BadFrame
from ml.packaging import normalised_bytes
from ml.training import QuantileModel
from tests.unit.ml.prepared_data import SMALL, Prepared

PLAN = Refits(count=3, block_weeks=3)


@pytest.fixture(scope="module")
def learned(prepared: Prepared) -> pl.DataFrame:
    return training_rows(prepared.rows, prepared.folds[-1])


@pytest.fixture(scope="module")
def models(learned: pl.DataFrame) -> list[QuantileModel]:
    return list(refits(learned, "transactions", SMALL, PLAN))


@pytest.fixture(scope="module")
def features(prepared: Prepared) -> pl.DataFrame:
    return prepared.features.filter(pl.col("week_start_date") == prepared.folds[-1].cutoff)


def test_refits_differ_from_each_other_and_repeat(learned: pl.DataFrame, models: list[QuantileModel]) -> None:
    assert len({normalised_bytes(model) for model in models}) == PLAN.count
    again = next(refits(learned, "transactions", SMALL, PLAN))
    assert normalised_bytes(again) == normalised_bytes(models[0])


def test_weeks_are_drawn_in_blocks(learned: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[pl.DataFrame] = []
    monkeypatch.setattr("ml.driver_stability.fit", lambda sample, *_: drawn.append(sample))
    list(refits(learned, "transactions", SMALL, PLAN))
    weeks = learned["target_week_start_date"].unique().sort().to_list()
    follows = dict(zip(weeks, [*weeks[1:], weeks[0]], strict=True))
    for sample in drawn:
        found = sample["target_week_start_date"].unique(maintain_order=True).to_list()
        counts = sample.group_by("target_week_start_date").len()
        single = learned.group_by("target_week_start_date").len()
        times = counts.join(single, on="target_week_start_date").select(pl.col("len") / pl.col("len_right"))
        assert times.to_series().sum() == len(weeks)
        assert (times.to_series() % 1 == 0).all()
        runs = sum(follows[week] in found for week in found)
        assert runs >= len(found) / PLAN.block_weeks
        assert len(found) < len(weeks)


def test_spread_is_that_of_the_refits(
    fitted: CalibratedModel, models: list[QuantileModel], features: pl.DataFrame
) -> None:
    parts = decompose(fitted, features)
    found = with_stability(parts, features, iter(models))
    assert dict(found.schema) == STABILITY_SCHEMA
    assert found.select(parts.columns).equals(parts)
    rows = features.sort("store_id", "product_group", "horizon_weeks")
    runs = [explained(model, rows)["base", "features"] for model in models]
    base = found.filter(pl.col("driver") == "base", pl.col("part") == "features")
    assert base["refit_mean"].to_list() == pytest.approx(np.mean(runs, axis=0).tolist())
    assert base["refit_std"].to_list() == pytest.approx(np.std(runs, axis=0, ddof=1).tolist())
    signs = np.sign(base["contribution"].to_numpy())
    shares = [
        None if sign == 0 else float(np.mean([np.sign(run[at]) == sign for run in runs]))
        for at, sign in enumerate(signs)
    ]
    assert base["same_sign_share"].to_list() == shares
    unexplained = found.filter(pl.col("driver") == "unexplained")
    names = ["refit_count", "refit_mean", "refit_std", "same_sign_share"]
    assert unexplained.select(pl.col(names).is_null().all()).row(0) == (True,) * 4
    assert found.select(DRIVER_KEY).is_unique().all()


def test_too_few_weeks_and_refits_are_refused(learned: pl.DataFrame) -> None:
    first = learned["target_week_start_date"].min()
    short = learned.filter(pl.col("target_week_start_date") < first + timedelta(weeks=5))  # type: ignore[operator]
    with pytest.raises(BadFrame, match="do not make two blocks of 3"):
        next(refits(short, "transactions", SMALL, PLAN))
    with pytest.raises(ValueError, match="at least 2"):
        Refits(count=1)
