"""Drivers: what each forecast is made up of, adding up to it exactly.

Belongs here: which driver a feature belongs to, the parts of a forecast, what it would be without its promotions. Does
not belong here: whether the parts are the same in another fit (ml.driver_stability), how demand answers to a price
(ml.elasticity), what a promotion did (that needs a design; this explains a model's forecast, not the world).

The parts are CatBoost's own SHAP values of the median (Lundberg et al., From Local Explanations to Global Understanding
with Explainable AI for Trees, Nature Machine Intelligence 2, 2020): they add up to what the trees say, and so do their
sums over features. Sums by driver are what is reported, since the split among features that say nearly the same is
arbitrary (Aas, Jullum and Loland, Explaining Individual Predictions when Features Are Dependent, Artificial
Intelligence 298, 2021). What happens to the trees' median before it is published has parts of its own:

    published p50 = base.average + sum of features by driver + unexplained (ordering + rounding + clipping)

An effect by SHAP is against the average row of the learning rows, and what features do together is shared between them.
The counterfactual of a promotion is against the same row without it. See `decompose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from catboost import EFstrType
from numpy.typing import NDArray

from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, FEATURE_KEY, HORIZON, TARGET_WEEK
from ml.forecaster import CalibratedModel
from ml.frame_checks import SERIES_KEY, WEEK, require_columns, require_unique
from ml.scoring import ISSUE_WEEK
from ml.training import (
    FORECAST_COLUMNS,
    MIDDLE_OF_JITTER,
    QuantileModel,
    Signature,
    require_same_signature,
    scoring_pool,
)

Values = NDArray[np.float64]
Driver = Literal["base", "season", "price", "display", "mailer", "distribution", "unexplained"]
Part = Literal["average", "features", "ordering", "rounding", "clipping"]
PROMOTIONS: tuple[Driver, ...] = ("display", "mailer")
DRIVER_KEY: tuple[str, ...] = (ISSUE_WEEK, *SERIES_KEY, HORIZON, "driver", "part")
DRIVER_SCHEMA: dict[str, pl.DataType] = {
    ISSUE_WEEK: pl.Date(),
    "store_id": pl.String(),
    "product_group": pl.String(),
    TARGET_WEEK: pl.Date(),
    HORIZON: pl.Int32(),
    "driver": pl.String(),
    "part": pl.String(),
    "contribution": pl.Float64(),
    "counterfactual": pl.Float64(),
    "p50": pl.Float64(),
}
# How far the parts may be from the forecast for want of digits, in units of the measure.
TOLERANCE = 1e-6

# What a feature is computed from says which driver it belongs to: the whole mapping, read by `driver_of`.
_OF_SOURCE: Mapping[str, Driver] = {
    "store_id": "base",
    "product_group": "base",
    HORIZON: "base",
    "transactions": "base",
    "quantity_units": "base",
    "net_sales_usd": "base",
    "quantity_units/transactions": "base",
    "store.transactions": "base",
    "group.transactions": "base",
    "all.transactions": "base",
    # Past prices: those of the target week are not planned.
    "net_sales_usd/quantity_units": "price",
    "discount_usd/gross_sales_usd": "price",
    "plans.display_products": "display",
    "plans.display_share": "display",
    "plans.mailer_products": "mailer",
    "plans.mailer_share": "mailer",
    # Whether the group could be bought at all.
    "is_zero_week": "distribution",
}
# How long a group has been sold, and for how long it has not been, tells of its listing, whatever is counted.
_OF_KERNEL: Mapping[str, Driver] = {"age": "distribution", "weeks_since_positive": "distribution", "calendar": "season"}


def driver_of(feature: Feature) -> Driver:
    """The one driver that a feature belongs to.

    Raises:
        LookupError: a feature is computed from something that no driver is named for.
    """
    found = _OF_KERNEL.get(feature.kernel) or _OF_SOURCE.get(feature.source)
    if found is None:
        raise LookupError(f"{feature.name} is computed from {feature.source}: name its driver in ml.drivers.")
    return found


def decompose(
    fitted: CalibratedModel, features: pl.DataFrame, *, declared: Sequence[Feature] = DEMAND_FEATURES
) -> pl.DataFrame:
    """The parts of every forecast of the model, and what the planned promotions of its target week change in it.

    A product group that falls back to a baseline is left out: its forecasts are not the model's.

    Args:
        fitted: the model that forecasts.
        features: gold.demand_features of one or more issue weeks.
        declared: the feature set that computed `features`.

    Returns:
        Columns of DRIVER_SCHEMA, one row per DRIVER_KEY, sorted. A driver is there when any row has an input of it.
        contribution: in units of the measure; over the rows of a forecast they add up to its p50 within TOLERANCE.
            base.average is the model's average forecast and base.features how the series differs from it by its past;
            ordering, rounding and clipping are what becomes of the trees' median when the quantiles are put in order,
            when a count is made whole and when it is kept from falling below 0.
        counterfactual: on display and mailer, the median before rounding less that of the same row with no such
            promotion planned for the target week; null on other rows and where plans are not known. It answers "what
            does the model add for this plan" and is 0 without one. The contribution answers "why does this forecast
            differ from the average one" and holds the promotions of past weeks too: it is below 0 without a plan.
        p50: the published forecast, the same on all rows of it.

    Raises:
        FeatureMismatch: the model was fitted on another feature set.
        BadFrame: keys repeat, or a horizon was not calibrated.
        ArithmeticError: the parts do not add up to the forecast.
    """
    require_columns(features, (*FEATURE_KEY, TARGET_WEEK), "features")
    require_unique(features, FEATURE_KEY, "features")
    found = fitted.model.signature
    require_same_signature(found, Signature.of(declared, found.measure, found.quantiles))
    rows = features.filter(~pl.col("product_group").is_in(list(fitted.fallback))).sort(FEATURE_KEY)
    if rows.is_empty():
        return pl.DataFrame(schema=DRIVER_SCHEMA)
    p50 = fitted.forecast(rows)["p50"].to_numpy()
    parts = {**explained(fitted.model, rows, declared), **_unexplained(fitted.model, rows)}
    remainder = np.abs(np.sum(list(parts.values()), axis=0) - p50)
    if (remainder > TOLERANCE).any():
        raise ArithmeticError(f"The drivers miss the forecast by up to {remainder.max():.3g}: ml.drivers and "
                              "ml.training disagree on how a median is published.")  # fmt: skip
    without = {driver: _counterfactual(fitted.model, rows, driver, declared) for driver in PROMOTIONS}
    key = rows.select(pl.col(WEEK).alias(ISSUE_WEEK), *SERIES_KEY, TARGET_WEEK, HORIZON)
    long = [
        key.with_columns(
            driver=pl.lit(driver),
            part=pl.lit(part),
            contribution=pl.Series(values),
            counterfactual=without.get(driver, pl.lit(None, dtype=pl.Float64)),
            p50=pl.Series(p50),
        )
        for (driver, part), values in parts.items()
    ]
    return pl.concat(long).select(pl.col(name).cast(dtype) for name, dtype in DRIVER_SCHEMA.items()).sort(DRIVER_KEY)


def explained(
    model: QuantileModel, rows: pl.DataFrame, declared: Sequence[Feature] = DEMAND_FEATURES
) -> dict[tuple[Driver, Part], Values]:
    """What the trees' median is made up of, per driver and part in the order of `rows`.

    The average of a count is that of the count, not of the count with its jitter (ml.training). A driver is left out
    when no row has an input of it and it adds nothing.
    """
    shap = np.asarray(model.regressor.get_feature_importance(scoring_pool(model, rows), type=EFstrType.ShapValues))
    shap = shap[:, _MEDIAN, :]
    found: dict[tuple[Driver, Part], Values] = {("base", "average"): shap[:, -1] - _jitter(model)}
    drivers: list[Driver] = [driver_of(feature) for feature in declared]
    for driver in dict.fromkeys(drivers):
        own = [position for position, name in enumerate(drivers) if name == driver]
        values = shap[:, own].sum(axis=1)
        has_input = any(rows[declared[position].name].null_count() < rows.height for position in own)
        if has_input or values.any():
            found[driver, "features"] = values
    return found


def _unexplained(model: QuantileModel, rows: pl.DataFrame) -> dict[tuple[Driver, Part], Values]:
    """What becomes of the trees' median on its way to the published one (ml.training, ml.intervals)."""
    raw = _predicted(model, rows)
    middle = np.sort(raw, axis=1)[:, _MEDIAN]
    smooth = middle - _jitter(model)
    rounded = np.floor(middle) if model.signature.is_count else middle
    return {
        ("unexplained", "ordering"): middle - raw[:, _MEDIAN],
        ("unexplained", "rounding"): rounded - smooth,
        ("unexplained", "clipping"): np.maximum(rounded, 0.0) - rounded,
    }


def without_promotion(features: pl.DataFrame, driver: Driver, declared: Sequence[Feature]) -> pl.DataFrame:
    """The rows with no such promotion in the target week; those of past weeks stay, and so does what is not known."""
    own = [feature for feature in declared if driver_of(feature) == driver]
    planned = {feature.source: pl.col(feature.name) for feature in own if feature.kernel == "target"}
    changes = {feature.name: feature.source for feature in own if feature.kernel == "target_less_mean"}
    return features.with_columns(
        *(pl.col(name) - planned[source] for name, source in changes.items()),
        *(column * 0.0 for column in planned.values()),
    )


def _counterfactual(model: QuantileModel, rows: pl.DataFrame, driver: Driver, declared: Sequence[Feature]) -> pl.Series:
    planned = [f.name for f in declared if f.kernel == "target" and driver_of(f) == driver]
    added = _smooth(model, rows) - _smooth(model, without_promotion(rows, driver, declared))
    is_known = rows.select(pl.all_horizontal(pl.col(planned).is_not_null())).to_series()
    return pl.Series(added).set(~is_known, None)


def _smooth(model: QuantileModel, rows: pl.DataFrame) -> Values:
    """The median before it is made whole: a plan that moves it by half a unit would else count as nothing or as one."""
    return np.maximum(np.sort(_predicted(model, rows), axis=1)[:, _MEDIAN] - _jitter(model), 0.0)


def _predicted(model: QuantileModel, rows: pl.DataFrame) -> Values:
    return np.asarray(model.regressor.predict(scoring_pool(model, rows)), dtype=np.float64).reshape(rows.height, -1)


def _jitter(model: QuantileModel) -> float:
    return MIDDLE_OF_JITTER if model.signature.is_count else 0.0


_MEDIAN = FORECAST_COLUMNS.index("p50")
