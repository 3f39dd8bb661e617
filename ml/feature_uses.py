"""Which features a model uses, and how much.

Belongs here: a model's inputs with their declarations and importance. Does not belong here: why a single forecast is
as it is, training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES
from ml.training import QuantileModel, Signature, require_same_signature

DECLARED_COLUMNS: dict[str, pl.DataType] = {
    "feature": pl.String(),
    "position": pl.Int32(),
    "computed_from": pl.String(),
    "kernel": pl.String(),
    "window_weeks": pl.String(),
    "availability": pl.String(),
    "description": pl.String(),
}
USE_COLUMNS: dict[str, pl.DataType] = {**DECLARED_COLUMNS, "importance_percent": pl.Float64()}


def declared_features(declared: Sequence[Feature] = DEMAND_FEATURES) -> pl.DataFrame:
    """One row per feature of a set, in its order; columns of DECLARED_COLUMNS.

    computed_from is the table or measure that the kernel reads; window_weeks the kernel's windows, joined by commas,
    null for a kernel without one.
    """
    rows = [
        (
            feature.name,
            position,
            feature.source,
            feature.kernel,
            ", ".join(map(str, feature.window)) or None,
            feature.availability,
            feature.description,
        )
        for position, feature in enumerate(declared)
    ]
    return pl.DataFrame(rows, schema=DECLARED_COLUMNS, orient="row")


def feature_uses(model: QuantileModel, declared: Sequence[Feature] = DEMAND_FEATURES) -> pl.DataFrame:
    """One row per input of a model, in its order.

    Args:
        model: a fitted model.
        declared: the feature set that it was fitted on.

    Returns:
        Columns of USE_COLUMNS. `importance_percent` is CatBoost's PredictionValuesChange: how much a forecast moves on
        average when the feature does; it adds up to 100, or to 0 for a model without a split.

    Raises:
        FeatureMismatch: the model was fitted on another set.
    """
    found = model.signature
    require_same_signature(found, Signature.of(declared, found.measure, found.quantiles))
    importance = np.asarray(model.regressor.get_feature_importance(), dtype=np.float64)
    return declared_features(declared).with_columns(importance_percent=importance)
