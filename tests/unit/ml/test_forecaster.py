"""The order of fit, calibration and refit, and the rows that each of them sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from ml.features import DEMAND_FEATURES, FEATURE_KEY
from ml.forecaster import CalibratedModel, fit_calibrated, labelled, training_rows
from ml.frame_checks import BadFrame
from ml.intervals import calibrate
from ml.packaging import model_version, normalised_bytes
from ml.training import fit, predict_raw
from tests.unit.ml.prepared_data import SMALL, Prepared


def test_it_is_the_three_steps_in_order(prepared: Prepared, fitted: CalibratedModel) -> None:
    fold, rows = prepared.folds[-1], prepared.rows
    first = fit(rows.filter(fold.is_training), DEMAND_FEATURES, "transactions", SMALL)
    held_out = rows.filter(fold.is_calibration)
    raw = pl.concat([held_out.select("horizon_weeks", "actual"), predict_raw(first, held_out)], how="horizontal")
    final = fit(training_rows(rows, fold), DEMAND_FEATURES, "transactions", SMALL)
    assert fitted.calibration == calibrate(raw)
    assert normalised_bytes(fitted.model) == normalised_bytes(final)


def test_outcomes_after_the_cutoff_do_not_matter(prepared: Prepared, fitted: CalibratedModel) -> None:
    fold = prepared.folds[-1]
    later = pl.col("target_week_start_date") > fold.cutoff
    lied = prepared.rows.with_columns(
        pl.when(later).then(pl.col(name) * 17 + 5).otherwise(pl.col(name)).alias(name)
        for name in ("transactions", "actual")
    )
    assert not lied.equals(prepared.rows)
    assert model_version(fit_calibrated(lied, fold, "transactions", SMALL)) == model_version(fitted)


def test_censored_outcomes_are_neither_learned_from_nor_calibrated_on(prepared: Prepared) -> None:
    fold = prepared.folds[-1]
    is_out = (pl.col("store_id") == "s1") & (pl.col("product_group") == "g1")
    flagged = prepared.rows.with_columns(censoring=pl.when(is_out).then(pl.lit("stock_out")))
    assert flagged.filter(is_out, fold.is_calibration).height
    assert flagged.filter(is_out, fold.is_training).height
    without = fit_calibrated(prepared.rows.filter(~is_out), fold, "transactions", SMALL)
    lied = flagged.with_columns(
        pl.when(is_out).then(99).otherwise(pl.col(name)).cast(flagged.schema[name]).alias(name)
        for name in ("transactions", "actual")
    )
    assert model_version(fit_calibrated(lied, fold, "transactions", SMALL)) == model_version(without)


def test_forecasts_keep_the_rows(prepared: Prepared, fitted: CalibratedModel) -> None:
    rows = prepared.features.filter(prepared.folds[-1].is_test)
    found = fitted.forecast(rows)
    assert found.select(rows.columns).equals(rows)
    assert found.select(pl.all_horizontal(pl.col("p10", "p50", "p90").is_finite()).all()).item()


def test_labels_meet_features_by_key(prepared: Prepared) -> None:
    rows = labelled(prepared.features, prepared.labels, "transactions")
    wanted = {row[:4]: row[4] for row in prepared.labels.select(*FEATURE_KEY, "transactions").iter_rows()}
    assert rows["actual"].to_list() == [float(wanted[key]) for key in rows.select(FEATURE_KEY).iter_rows()]


def test_labels_of_another_target_week_are_refused(prepared: Prepared) -> None:
    moved = prepared.labels.with_columns(target_week_start_date=pl.col("target_week_start_date") + timedelta(days=7))
    with pytest.raises(BadFrame, match="disagree on the target week"):
        labelled(prepared.features, moved, "transactions")


def test_an_empty_part_is_refused(prepared: Prepared) -> None:
    fold = replace(prepared.folds[-1], train_cutoffs=())
    with pytest.raises(BadFrame, match="0 training rows"):
        fit_calibrated(prepared.rows, fold, "transactions", SMALL)
    fold = replace(prepared.folds[-1], calibration_cutoffs=prepared.folds[-1].calibration_cutoffs[:1])
    with pytest.raises(BadFrame, match=r"no calibration rows at horizons \[1\]"):
        fit_calibrated(prepared.rows, fold, "transactions", SMALL)
