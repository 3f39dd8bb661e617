"""Point forecasts for the metric that is reported: a bag of boosted trees whose loss has that metric's optimum.

Belongs here: the loss, the weights and the members of a bag, fit and forecast. Does not belong here: features
(ml.cube_features), quantile models (ml.training), intervals (ml.intervals).

Which forecast is best for a metric follows from how outcomes spread, not from the model (Gneiting, Making and
Evaluating Point Forecasts, JASA 106, 2011). WAPE is least at the median; MAPE is least at the median of the outcomes
weighted by 1 / outcome. Both are medians, which a monotone scale such as the log leaves in place. So the trees learn
the absolute error on that scale, weighted by the units that a step on the scale is worth at the expected outcome, and
for MAPE divided by the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm
import numpy as np
import polars as pl
from catboost import CatBoostRegressor
from numpy.typing import NDArray

from ml.cube_features import FROM_LEVEL, TO_LEVEL, Scale, feature_names
from ml.frame_checks import BadFrame, require_columns

Values = NDArray[np.float64]
Objective = Literal["mape", "wape"]
Learner = Literal["catboost", "lightgbm"]
EXPECTED = "chain_analog_a"
# Units per step on the scale, where the level stands for so many units.
_SLOPE: Mapping[Scale, Callable[[Values], Values]] = {
    "log": lambda units: units,
    "log1p": lambda units: units + 1.0,
    "sqrt": lambda units: np.sqrt(units + 0.25),
}
_CLIP = np.exp(2.5)


@dataclass(frozen=True)
class Member:
    """One learner of a bag.

    Attributes:
        learner: library.
        offset: feature that the trees start from, on the scale of the demand; None starts from a constant.
        iterations, learning_rate, column_share: of boosting.
        size: depth of catboost's trees, leaves of lightgbm's.
        seed: of sampling.
    """

    learner: Learner
    offset: str | None = None
    iterations: int = 250
    learning_rate: float = 0.06
    column_share: float = 0.4
    size: int = 31
    seed: int = 1


@dataclass(frozen=True)
class PointConfig:
    """What besides the rows decides a bag: the metric, the scale of demand, its members and their threads."""

    objective: Objective
    scale: Scale
    members: tuple[Member, ...]
    half_life_weeks: float | None = None
    threads: int = 1


@dataclass(frozen=True)
class PointModel:
    """A fitted bag. `names` are its inputs in order."""

    config: PointConfig
    names: tuple[str, ...]
    predictors: tuple[Callable[[Values], Values], ...]


def fit_points(rows: pl.DataFrame, config: PointConfig) -> PointModel:
    """Fit every member on all rows with an outcome.

    Args:
        rows: of `ml.cube_features.cube_features`, their targets known at the cutoff at which the model is used.
        config: the bag.

    Raises:
        BadFrame: no row has an outcome, an outcome is negative, or for MAPE not above 0.
    """
    require_columns(rows, ("actual", "target_position", EXPECTED), "training rows")
    known = rows.filter(pl.col("actual").is_not_null())
    least = 0.0 if config.objective == "wape" else np.nextafter(0.0, 1.0)
    if not known.height or known.select((pl.col("actual") < least).any()).item():
        raise BadFrame(f"Training for {config.objective} needs rows with outcomes of at least {least:g}.")
    names = tuple(feature_names(known))
    inputs = _inputs(known, names)
    level = TO_LEVEL[config.scale](known["actual"].to_numpy())
    weights = _weights(known, config)
    predictors = tuple(
        _FIT[member.learner](inputs, level - _offset(known, member), weights, member, config.threads)
        for member in config.members
    )
    return PointModel(config, names, predictors)


def predict_points(model: PointModel, rows: pl.DataFrame) -> pl.Series:
    """`point` DOUBLE per row, in units and at least 0: the mean of the members on the scale of the demand."""
    require_columns(rows, model.names, "rows")
    inputs = _inputs(rows, model.names)
    levels = [
        predict(inputs) + _offset(rows, member)
        for predict, member in zip(model.predictors, model.config.members, strict=True)
    ]
    mean = np.mean(levels, axis=0)
    if model.config.scale != "log":
        mean = np.maximum(mean, 0.0)
    return pl.Series("point", FROM_LEVEL[model.config.scale](mean), dtype=pl.Float64)


def _weights(rows: pl.DataFrame, config: PointConfig) -> Values:
    expected = FROM_LEVEL[config.scale](_filled(rows, EXPECTED))
    weight = _SLOPE[config.scale](np.maximum(expected, 0.0))
    if config.objective == "mape":
        weight = np.clip(weight / rows["actual"].to_numpy(), 1 / _CLIP, _CLIP)
    if config.half_life_weeks is not None:
        newest = int(rows["target_position"].max())  # type: ignore[arg-type]
        weight = weight * 0.5 ** ((newest - rows["target_position"].to_numpy()) / config.half_life_weeks)
    return weight / weight.mean()


def _offset(rows: pl.DataFrame, member: Member) -> Values:
    return np.zeros(rows.height) if member.offset is None else _filled(rows, member.offset)


def _filled(rows: pl.DataFrame, column: str) -> Values:
    """A column without gaps: a series without a past takes the median of all."""
    values = rows[column].cast(pl.Float64).fill_nan(None)
    return values.fill_null(values.median() or 0.0).to_numpy()


def _inputs(rows: pl.DataFrame, names: tuple[str, ...]) -> Any:
    return rows.select(pl.col(name).cast(pl.Float32).fill_null(np.nan) for name in names).to_numpy()


def _fit_catboost(inputs: Any, target: Values, weights: Values, member: Member, threads: int) -> Callable[..., Values]:
    regressor = CatBoostRegressor(
        loss_function="MAE",
        # The exact leaves that catboost takes by default for this loss do not look at weights.
        leaf_estimation_method="Gradient",
        leaf_estimation_iterations=3,
        iterations=member.iterations,
        depth=member.size,
        learning_rate=member.learning_rate,
        rsm=member.column_share,
        border_count=48,
        random_seed=member.seed,
        thread_count=threads,
        allow_writing_files=False,
        logging_level="Silent",
    )
    regressor.fit(inputs, target, sample_weight=weights)
    return lambda rows: np.asarray(regressor.predict(rows), dtype=np.float64)


def _fit_lightgbm(inputs: Any, target: Values, weights: Values, member: Member, threads: int) -> Callable[..., Values]:
    parameters = {
        "objective": "l1",
        "num_leaves": member.size,
        "learning_rate": member.learning_rate,
        "feature_fraction": member.column_share,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "min_data_in_leaf": 40,
        "max_bin": 63,
        "seed": member.seed,
        "num_threads": threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbose": -1,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(inputs, target, weight=weights), member.iterations)
    return lambda rows: np.asarray(booster.predict(rows), dtype=np.float64)


_FIT: Mapping[Learner, Callable[..., Callable[..., Values]]] = {
    "catboost": _fit_catboost,
    "lightgbm": _fit_lightgbm,
}
