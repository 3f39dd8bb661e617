"""Calibrated forecasters: a model or a baseline with intervals that were measured on outcomes it had not seen.

Belongs here: the order of fit, calibration and refit; a model that leaves some product groups to a baseline. Does not
belong here: CatBoost (ml.training), the arithmetic of intervals (ml.intervals), folds (ml.splits), which groups are
left to a baseline (ml.fallback).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from ml.baselines import BASELINES
from ml.censoring import CENSORING, is_believed
from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, FEATURE_KEY, HORIZON, TARGET_WEEK
from ml.frame_checks import BadFrame, require_columns, require_unique
from ml.intervals import Calibration, apply, calibrate, point_rows
from ml.splits import Fold
from ml.training import QuantileModel, TrainConfig, fit, predict_raw

_ROW = "_row"


@dataclass(frozen=True)
class CalibratedBaseline:
    """A baseline of ml.baselines for a measure, and how far its outer quantiles move."""

    method: str
    measure: str
    calibration: Calibration

    def forecast(self, features: pl.DataFrame) -> pl.DataFrame:
        """The feature rows with calibrated p10, p50, p90.

        Raises:
            BadFrame: a series has no whole week yet, or a horizon was not calibrated.
        """
        return apply(_pointed(features, self.measure, self.method), self.calibration).drop("scale")


@dataclass(frozen=True)
class CalibratedModel:
    """A model, how far its outer quantiles move, and by product group the baseline that forecasts in its place."""

    model: QuantileModel
    calibration: Calibration
    fallback: Mapping[str, CalibratedBaseline] = field(default_factory=dict)

    def forecast(self, features: pl.DataFrame) -> pl.DataFrame:
        """The feature rows with calibrated p10, p50, p90: the model's, or the baseline's where its group falls back.

        Raises:
            FeatureMismatch: a feature is missing or has another type.
            BadFrame: a horizon was not calibrated, or a group falls back of which a series has no whole week yet.
        """
        raw = pl.concat([features, predict_raw(self.model, features)], how="horizontal")
        rows = apply(raw, self.calibration)
        return self._with_fallback(rows) if self.fallback else rows

    def _with_fallback(self, rows: pl.DataFrame) -> pl.DataFrame:
        numbered, group = rows.with_row_index(_ROW), pl.col("product_group")
        parts = [numbered.filter(~group.is_in(list(self.fallback)))]
        parts += [baseline.forecast(numbered.filter(group == name)) for name, baseline in self.fallback.items()]
        return pl.concat(parts).sort(_ROW).drop(_ROW)


def labelled(features: pl.DataFrame, labels: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Feature rows whose outcome is given: as column `measure`, as DOUBLE `actual`, and whether it was `censoring`.

    Raises:
        BadFrame: keys repeat, or features and labels disagree on the target week of a key.
    """
    require_columns(labels, (*FEATURE_KEY, TARGET_WEEK, CENSORING, measure), "labels")
    require_unique(features, FEATURE_KEY, "features")
    require_unique(labels, FEATURE_KEY, "labels")
    actual = pl.col(measure).cast(pl.Float64)
    outcome = labels.select(*FEATURE_KEY, CENSORING, measure, _labelled_week=TARGET_WEEK, actual=actual)
    rows = features.join(outcome, on=FEATURE_KEY, how="inner")
    if rows.select((pl.col("_labelled_week") != pl.col(TARGET_WEEK)).any()).item():
        raise BadFrame("Features and labels disagree on the target week of a cutoff and horizon.")
    return rows.drop("_labelled_week").sort(FEATURE_KEY)


def training_rows(rows: pl.DataFrame, fold: Fold) -> pl.DataFrame:
    """The rows of the final fit at a fold: every outcome that is known at the cutoff and not censored."""
    return rows.filter(fold.is_known, is_believed())


def fit_calibrated(
    rows: pl.DataFrame,
    fold: Fold,
    measure: str,
    config: TrainConfig,
    *,
    coverage: float = 0.8,
    features: Sequence[Feature] = DEMAND_FEATURES,
) -> CalibratedModel:
    """Fit on the training pairs, calibrate on the calibration pairs, then fit anew on all known pairs.

    The intervals are those of the first model, which knew `calibration_weeks + horizon` weeks less. The second is a
    little better, so that they err on the wide side. Censored outcomes are neither learned from nor calibrated on.

    Args:
        rows: `labelled` rows; those after the fold's cutoff are not used.
        fold: from `ml.splits.rolling_origin`.
        measure: what is forecast.
        config: parameters of both fits.
        coverage: share of outcomes that [p10, p90] is to hold.
        features: input columns.

    Raises:
        BadFrame: a part of the fold has no rows, or the calibration pairs lack a horizon.
    """
    require_columns(rows, (*FEATURE_KEY, TARGET_WEEK, CENSORING, measure, "actual"), "rows")
    training, held_out = (rows.filter(part, is_believed()) for part in (fold.is_training, fold.is_calibration))
    missing = sorted(set(rows[HORIZON]) - set(held_out[HORIZON]))
    if not training.height or missing:
        raise BadFrame(
            f"Fold {fold.cutoff}: {training.height} training rows; no calibration rows at horizons {missing}."
        )
    first = fit(training, features, measure, config)
    raw = pl.concat([held_out.select(HORIZON, "actual"), predict_raw(first, held_out)], how="horizontal")
    final = fit(training_rows(rows, fold), features, measure, config)
    return CalibratedModel(final, calibrate(raw, coverage))


def calibrate_baseline(
    rows: pl.DataFrame, fold: Fold, measure: str, method: str, coverage: float = 0.8
) -> CalibratedBaseline:
    """A baseline with intervals learned on the same calibration pairs as a model's.

    Args:
        rows: `labelled` rows of all product groups.
        fold: from `ml.splits.rolling_origin`.
        measure: what is forecast.
        method: a name of `ml.baselines.BASELINES`.
        coverage: share of outcomes that [p10, p90] is to hold.

    Raises:
        BadFrame: a series has no whole week yet.
        TooFewRows: a horizon has too few calibration pairs.
    """
    held_out = rows.filter(fold.is_calibration, is_believed())
    return CalibratedBaseline(method, measure, calibrate(_pointed(held_out, measure, method), coverage))


def _pointed(rows: pl.DataFrame, measure: str, method: str) -> pl.DataFrame:
    points = BASELINES[method](rows, measure)["point"]
    if points.null_count():
        raise BadFrame(f"{method} has no forecast for {points.null_count()} rows: their series have no whole week yet.")
    return point_rows(rows.with_columns(point=points))
