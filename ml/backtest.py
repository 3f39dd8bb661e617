"""The backtest: what each method would have forecast, and how well.

Belongs here: the same rows for every method at every fold. Does not belong here: gates (ml.promotion), files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from ml.baselines import BASELINES
from ml.censoring import CENSORING, is_believed
from ml.evaluation import metrics, sliced
from ml.evaluation_scaled import PAST_COLUMNS, VOLUME_CLASSES, past_facts, scaled_metrics
from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, HORIZON, TARGET_WEEK
from ml.forecaster import calibrate_baseline, fit_calibrated, labelled
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, require_columns
from ml.splits import Fold
from ml.training import TrainConfig

MODEL = "catboost"
CUTOFF = "cutoff_week_start_date"
FORECAST_COLUMNS = [
    "method",
    CUTOFF,
    *SERIES_KEY,
    HORIZON,
    TARGET_WEEK,
    "is_promotion",
    CENSORING,
    "actual",
    "p10",
    "p50",
    "p90",
]
SCORED_COLUMNS = [*FORECAST_COLUMNS, *PAST_COLUMNS]
# Slices that a row of any forecast with its outcome has, and those of a backtest besides.
OUTCOME_SLICES: dict[str, pl.Expr] = {
    "all": pl.lit(value=True),
    "promotion": pl.col("is_promotion"),
    "base": ~pl.col("is_promotion"),
    "censored": ~is_believed(),
}
SLICES = {**OUTCOME_SLICES, **{name: pl.col("volume_class") == name for name in VOLUME_CLASSES}}
Progress = Callable[[int, int, str, date], None]


@dataclass(frozen=True)
class BacktestPlan:
    """What is tested.

    Attributes:
        folds: origins, from `ml.splits.rolling_origin`.
        measure: what is forecast.
        config: parameters of the model.
        coverage: share of outcomes that [p10, p90] is to hold.
        features: the model's inputs.
    """

    folds: tuple[Fold, ...]
    measure: str = "transactions"
    config: TrainConfig = field(default_factory=TrainConfig)
    coverage: float = 0.8
    features: tuple[Feature, ...] = DEMAND_FEATURES


def backtest(
    features: pl.DataFrame, labels: pl.DataFrame, plan: BacktestPlan, progress: Progress | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Forecast every fold with the model and the baselines, on the same rows.

    Args:
        features: gold.demand_features, of the folds' cutoffs and all before.
        labels: gold.demand_labels, mature as of now (`ml.labels.mature`).
        plan: what is tested.
        progress: called with (steps done, steps in all, method, cutoff) after each method of a fold.

    Returns:
        (scored rows, metrics). Scored rows: SCORED_COLUMNS, one row per (method, cutoff, series, horizon), sorted;
        is_promotion says that a display or a mailer was planned for the target week, null where no plan is known;
        censored outcomes are scored like all others, and apart; the last columns are those of
        `ml.evaluation_scaled.past_facts` at the cutoff.
        Metrics: the columns of models.demand_backtest; the slices of SLICES and each product group.

    Raises:
        BadFrame: a fold lacks rows at a horizon.
    """
    rows = labelled(features, labels, plan.measure)
    methods = [MODEL, *BASELINES]
    horizons = sorted(set(rows[HORIZON]))
    total = len(plan.folds) * len(methods)
    scored: list[pl.DataFrame] = []
    for fold in plan.folds:
        _require_test_rows(rows, fold, horizons)
        for method in methods:
            forecasts = _model_forecasts(rows, fold, plan) if method == MODEL else _baseline(rows, fold, plan, method)
            scored.append(_scored(method, forecasts))
            if progress is not None:
                progress(len(scored), total, method, fold.cutoff)
    result = with_past(pl.concat(scored), features, plan.measure)
    return result, backtest_metrics(result)


def with_past(scored: pl.DataFrame, features: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Rows of FORECAST_COLUMNS as rows of SCORED_COLUMNS, sorted: with what was known of their series at the cutoff."""
    past = past_facts(features, measure).rename({WEEK: CUTOFF})
    joined = scored.join(past, on=[*SERIES_KEY, CUTOFF], how="left")
    return joined.select(SCORED_COLUMNS).sort("method", CUTOFF, *SERIES_KEY, HORIZON)


def backtest_metrics(scored: pl.DataFrame, by: Sequence[str] = ("method", CUTOFF, HORIZON)) -> pl.DataFrame:
    """models.demand_backtest from scored rows: key, metrics of ml.evaluation, RMSSE and WRMSSE."""
    require_columns(scored, (*by, "is_promotion", CENSORING, "product_group", *PAST_COLUMNS), "scored rows")
    rows, keys = sliced(scored, SLICES, "product_group"), [*by, "slice"]
    return metrics(rows, keys).join(scaled_metrics(rows, keys), on=keys, how="left").sort(keys)


def is_promotion() -> pl.Expr:
    """Whether a display or mailer is planned for the target week of a feature row; null where no plan is known."""
    return ((pl.col("display_products_target") + pl.col("mailer_products_target")) > 0).alias("is_promotion")


def _model_forecasts(rows: pl.DataFrame, fold: Fold, plan: BacktestPlan) -> pl.DataFrame:
    fitted = fit_calibrated(
        rows,
        fold,
        plan.measure,
        plan.config,
        coverage=plan.coverage,
        features=plan.features,
    )
    return fitted.forecast(rows.filter(fold.is_test))


def _baseline(rows: pl.DataFrame, fold: Fold, plan: BacktestPlan, method: str) -> pl.DataFrame:
    """A baseline's point forecasts with intervals calibrated on the same pairs as the model's."""
    calibrated = calibrate_baseline(rows, fold, plan.measure, method, plan.coverage)
    return calibrated.forecast(rows.filter(fold.is_test))


def _require_test_rows(rows: pl.DataFrame, fold: Fold, horizons: list[int]) -> None:
    missing = sorted(set(horizons) - set(rows.filter(fold.is_test)[HORIZON]))
    if missing or not horizons:
        raise BadFrame(f"The fold at {fold.cutoff} has no outcomes at horizons {missing}; test at an earlier cutoff.")


def _scored(method: str, forecasts: pl.DataFrame) -> pl.DataFrame:
    return forecasts.with_columns(is_promotion(), method=pl.lit(method)).rename({WEEK: CUTOFF}).select(FORECAST_COLUMNS)
