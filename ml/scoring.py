"""Forecast rows from a verified bundle.

Belongs here: features in, quantiles out, stamped with the model that made them. Does not belong here: fitting of any
kind, the issue instant and the data version (the caller knows them).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ml.backtest import MODEL
from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, FEATURE_KEY, HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, require_columns, require_unique
from ml.packaging import Bundle
from ml.training import FORECAST_COLUMNS, Signature, require_same_signature

ISSUE_WEEK = "issue_week_start_date"
SCORE_COLUMNS = [
    ISSUE_WEEK,
    *SERIES_KEY,
    TARGET_WEEK,
    HORIZON,
    "method",
    "measure",
    *FORECAST_COLUMNS,
    "model_version",
]


def score(
    bundle: Bundle,
    features: pl.DataFrame,
    *,
    declared: Sequence[Feature] = DEMAND_FEATURES,
) -> pl.DataFrame:
    """Forecast every feature row.

    Args:
        bundle: from `ml.packaging.load_bundle`.
        features: gold.demand_features of one or more issue weeks.
        declared: the feature set that computed `features`.

    Returns:
        forecasts.demand_forecasts without issued_as_of and data_version: SCORE_COLUMNS, one row per (issue week =
        cutoff week of the features, store, product group, horizon), sorted.

    Raises:
        FeatureMismatch: name, order, type or version of the features are not those of the fit.
        BadFrame: keys repeat, or a horizon was not calibrated.
    """
    require_columns(features, (*FEATURE_KEY, TARGET_WEEK), "features")
    require_unique(features, FEATURE_KEY, "features")
    fitted_on = bundle.fitted.model.signature
    require_same_signature(fitted_on, Signature.of(declared, fitted_on.measure, fitted_on.quantiles))
    rows = bundle.fitted.forecast(features.sort(FEATURE_KEY)).rename({WEEK: ISSUE_WEEK})
    stamped = rows.with_columns(
        method=pl.lit(MODEL), measure=pl.lit(fitted_on.measure), model_version=pl.lit(bundle.model_version)
    )
    return stamped.select(SCORE_COLUMNS).sort(ISSUE_WEEK, *SERIES_KEY, HORIZON)
