"""Forecasts: what was issued, vintage by vintage, and how it turned out.

Belongs here: issuing with the champion and the baselines, and joining issues with outcomes. Does not belong here: fits
(nothing is fitted while scoring) and metrics (ml). A vintage is written for its issue week and never changed later.
"""

from datetime import date

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close, when_inputs_pass
from assets.graph import Graph, materialise
from ml.backtest import OUTCOME_SLICES, is_promotion
from ml.baselines import BASELINES
from ml.censoring import CENSORING, is_believed
from ml.champions import champion_at
from ml.digest import canonical_digest
from ml.evaluation import sliced_metrics
from ml.features import FEATURE_KEY, HORIZON, TARGET_WEEK
from ml.forecaster import calibrate_baseline, labelled
from ml.frame_checks import SERIES_KEY
from ml.intervals import apply
from ml.labels import mature
from ml.packaging import load_bundle
from ml.reference_rows import require_reference
from ml.scoring import ISSUE_WEEK as ISSUE
from ml.scoring import score
from ml.splits import SeriesTooShort, rolling_origin
from ml.training import FORECAST_COLUMNS
from ml.young import stand_in_calibration, with_points
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, WEEK

ML = PROJECT_ROOT / "ml"
# Calibration takes the last six target weeks at horizons up to four; more is not read.
CALIBRATION_LOOKS_BACK = 13 * WEEK
CODE = [
    ML / "packaging.py",
    ML / "reference_rows.py",
    ML / "forecaster.py",
    ML / "intervals.py",
    ML / "baselines.py",
    ML / "young.py",
    PROJECT_ROOT / "assets/forecasts/demand.py",
]


def forecast_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Issued forecasts and their accuracy."""
    return [_forecasts(graph), _accuracy(graph)]


def _forecasts(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "forecasts",
        "demand_forecasts",
        kinds={"catboost", "polars", "deltalake"},
        code=CODE,
        weeks="issue",
        deps=[("gold", "demand_features"), ("models", "champion_history"), ("models", "demand_models")],
        read_through={("gold", "demand_labels"): 0},
        condition=when_inputs_pass(),
    )
    def demand_forecasts(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        weeks = context.partition_key_range
        issues = [week for week in graph.week_dates() if weeks.start <= week.isoformat() <= weeks.end]
        rows = pl.concat([issue(lake, graph, week) for week in issues])
        contract = graph.contract("forecasts", "demand_forecasts")
        totals = {
            f"total_p50_{m}": float(rows.filter(pl.col("method") == m)["p50"].sum()) for m in rows["method"].unique()
        }
        return materialise(context, lake, graph, contract, rows, metadata=totals)

    return demand_forecasts


def issue(lake: Lake, graph: Graph, week: date) -> pl.DataFrame:
    """All forecasts of one issue week: the champion's, where there is one, and the baselines'.

    Raises:
        LookupError: the week has no features.
    """
    at = graph.week_end(week)
    features = lake.read("gold.demand_features", where=f"week_start_date = DATE'{week}'").sort(FEATURE_KEY)
    if features.is_empty():
        raise LookupError(f"The week of {week} has no features: materialise gold.demand_features for it.")
    version = champion_of_issue(graph, lake.read("models.champion_history"), week)
    bundle = None if version is None else load_bundle(graph.settings.artifacts / "models" / version, version)
    if bundle is not None:
        require_reference(bundle)
    measure = graph.settings.lake.forecast.measure if bundle is None else bundle.fitted.model.signature.measure
    recent = f"week_start_date > DATE'{week - CALIBRATION_LOOKS_BACK}'"
    labels = mature(lake.read("gold.demand_labels", where=recent), at)
    known = labelled(lake.read("gold.demand_features", where=recent), labels, measure).filter(is_believed())
    baselines = [
        _baseline(graph, features, known, week, measure, name).select(
            pl.col("week_start_date").alias(ISSUE),
            *SERIES_KEY,
            TARGET_WEEK,
            HORIZON,
            pl.lit(name).alias("method"),
            pl.lit(measure).alias("measure"),
            *FORECAST_COLUMNS,
            pl.lit(name).alias("model_version"),
        )
        for name in BASELINES
    ]
    data_version = canonical_digest(features, list(FEATURE_KEY))
    model = [] if bundle is None else [score(bundle, features)]
    return pl.concat([*model, *baselines]).with_columns(
        issued_as_of=pl.lit(at).dt.cast_time_unit("us"), data_version=pl.lit(data_version)
    )


def champion_of_issue(graph: Graph, history: pl.DataFrame, week: date) -> str | None:
    """The model in charge while a week was the newest that is over: a rollback in the days after it counts."""
    decided = history.filter(pl.col("decided_as_of") < graph.week_end(week + WEEK))
    return champion_at(decided, max(graph.settings.as_of, graph.week_end(week)))


def _baseline(
    graph: Graph, features: pl.DataFrame, known: pl.DataFrame, week: date, measure: str, name: str
) -> pl.DataFrame:
    """A baseline with intervals calibrated on the newest known outcomes that are believed, as the backtest does it."""
    horizons = graph.settings.lake.forecast.horizons_weeks
    weeks = [item for item in graph.week_dates() if item <= week]
    try:
        fold = rolling_origin(weeks, 1, max(horizons), 1, last_cutoff=week)[0]
    except SeriesTooShort:
        calibration = stand_in_calibration(with_points(known, measure, name), horizons)
        return apply(with_points(features, measure, name), calibration)
    return calibrate_baseline(known, fold, measure, name).forecast(features)


def _accuracy(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "forecasts",
        "forecast_accuracy",
        kinds={"polars", "deltalake"},
        code=[ML / "evaluation.py", PROJECT_ROOT / "assets/forecasts/demand.py"],
        deps=[("forecasts", "demand_forecasts"), ("gold", "demand_labels"), ("gold", "demand_features")],
        settings=[graph.settings.lake.as_of],
        condition=weekly_after_close(),
    )
    def forecast_accuracy(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        issued = lake.read("forecasts.demand_forecasts")
        labels = mature(lake.read("gold.demand_labels"), graph.settings.as_of)
        planned = ("display_products_target", "mailer_products_target")
        rows = accuracy(issued, labels, lake.read("gold.demand_features", columns=[*FEATURE_KEY, *planned]))
        contract = graph.contract("forecasts", "forecast_accuracy")
        return materialise(context, lake, graph, contract, rows, metadata={"issues": issued[ISSUE].n_unique()})

    return forecast_accuracy


def accuracy(issued: pl.DataFrame, labels: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """forecasts.forecast_accuracy: every issued forecast whose outcome has matured, by issue, horizon and slice."""
    by = [ISSUE, TARGET_WEEK, "horizon_weeks", "method"]
    outcomes = pl.concat([
        labels.select(*FEATURE_KEY, CENSORING, measure=pl.lit(name), actual=pl.col(name).cast(pl.Float64))
        for name in ("transactions", "quantity_units", "net_sales_usd")
    ]).rename({"week_start_date": ISSUE})  # fmt: skip
    promoted = features.select(*FEATURE_KEY, is_promotion()).rename({"week_start_date": ISSUE})
    key = [ISSUE, "store_id", "product_group", "horizon_weeks"]
    rows = issued.join(outcomes, on=[*key, "measure"]).join(promoted, on=key)
    if rows.is_empty():
        return pl.DataFrame(schema=_ACCURACY)
    return sliced_metrics(rows, by, OUTCOME_SLICES, "product_group").select(list(_ACCURACY))


_ACCURACY: dict[str, pl.DataType] = {
    ISSUE: pl.Date(),
    TARGET_WEEK: pl.Date(),
    "horizon_weeks": pl.Int32(),
    "method": pl.String(),
    "slice": pl.String(),
    "row_count": pl.Int64(),
    "actual_sum": pl.Float64(),
    "wape": pl.Float64(),
    "bias": pl.Float64(),
    "pinball": pl.Float64(),
    "coverage_80": pl.Float64(),
}
