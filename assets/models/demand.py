"""Models: the demand model from training set to bundle.

Belongs here: the backtest and the fit as assets. Does not belong here: splits, fits and metrics (ml), the gate.
"""

import json
import time
from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import (
    bundle_manifest,
    bundle_path,
    default_config,
    evidence_path,
    final_fold,
    folds_at,
    learning_rows,
    newest_training_set,
    too_young,
    train_config,
)
from assets.graph import Graph, materialise
from checks.contracts.spark_schema import arrow_schema
from ml.backtest import MODEL, BacktestPlan, backtest
from ml.fallback import choose_fallback
from ml.features import FEATURE_SET
from ml.forecaster import labelled
from ml.packaging import model_version, save_bundle
from ml.retraining import fit_as_recorded
from ml.young import young_backtest
from resources.lake import Lake
from resources.plots import accuracy_by_horizon
from resources.registry import Registry
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
LEARNING_CODE = [
    ML / f"{name}.py"
    for name in (
        "training",
        "forecaster",
        "intervals",
        "splits",
        "baselines",
        "censoring",
        "evaluation",
        "evaluation_scaled",
        "backtest",
        "packaging",
        "reference_rows",
        "young",
    )
]
KINDS = {"catboost", "polars"}


def model_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Backtest and fit of the demand model."""
    return [_backtest(graph), _model(graph)]


class _Laps:
    """Logs the steps of a backtest and keeps the seconds that each method took.

    Seconds differ from run to run, so they are metadata of the run and no column of the table.
    """

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.seconds: dict[str, float] = {}
        self._context, self._before = context, time.perf_counter()

    def __call__(self, done: int, total: int, method: str, cutoff: date) -> None:
        now = time.perf_counter()
        self.seconds[method] = self.seconds.get(method, 0.0) + now - self._before
        self._before = now
        self._context.log.info("%s of %s: %s at cutoff %s", done, total, method, cutoff)


def accuracy_against_cost(metrics: pl.DataFrame, seconds: Mapping[str, float]) -> str:
    """A Markdown table, a row per method: WAPE and RMSSE over folds and horizons, seconds a fold (fit and forecast).

    Args:
        metrics: models.demand_backtest.
        seconds: per method over all folds; a method that was not timed has a dash.
    """
    folds = metrics["cutoff_week_start_date"].n_unique()
    overall = metrics.filter(pl.col("slice") == "all", pl.col("wape").is_not_null())
    weight = pl.col("actual_sum")
    pooled = (
        overall.group_by("method")
        .agg(wape=(pl.col("wape") * weight).sum() / weight.sum(), rmsse=pl.col("rmsse").mean())
        .sort("wape", "method")
    )
    lines = ["| method | WAPE, % | RMSSE | seconds a fold |", "|---|---:|---:|---:|"]
    for method, wape, rmsse in pooled.iter_rows():
        scaled = "-" if rmsse is None else f"{rmsse:.3f}"
        cost = f"{seconds[method] / folds:.2f}" if method in seconds else "-"
        lines.append(f"| {method} | {wape:.1f} | {scaled} | {cost} |")
    return "\n".join(lines)


def _backtest(graph: Graph) -> dg.AssetsDefinition:
    measure = graph.settings.lake.forecast.measure

    @graph.asset(
        "models",
        "demand_backtest",
        kinds=KINDS,
        code=LEARNING_CODE,
        deps=[("gold", "training_sets"), ("models", "demand_studies")],
        settings=[graph.settings.lake.backtest, measure, default_config(graph)],
        condition=weekly_after_close(),
    )
    def demand_backtest(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        reason, laps = too_young(graph), _Laps(context)
        if reason is None:
            plan = BacktestPlan(tuple(folds_at(graph)), measure, train_config(lake, graph))
            scored, metrics = backtest(*learning_rows(graph, manifest), plan, laps)
        else:
            context.log.warning(reason)
            scored, metrics = young_backtest(*learning_rows(graph, manifest), measure)
        path = evidence_path(graph.settings, manifest["training_set_id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        scored.write_parquet(path)
        overall = metrics.filter((pl.col("slice") == "all") & (pl.col("method") == MODEL))
        figures = {
            **{name: round(value, 4) for name, value in _by_horizon(overall).items()},
            "folds": metrics["cutoff_week_start_date"].n_unique(),
            "accuracy": dg.MetadataValue.md(accuracy_by_horizon(metrics)),
            "accuracy_against_cost": dg.MetadataValue.md(accuracy_against_cost(metrics, laps.seconds)),
        }
        contract = graph.contract("models", "demand_backtest")
        return materialise(context, lake, graph, contract, metrics, metadata=figures)

    return demand_backtest


def _model(graph: Graph) -> dg.AssetsDefinition:
    measure = graph.settings.lake.forecast.measure

    @graph.asset(
        "models",
        "demand_models",
        kinds={*KINDS, "mlflow"},
        code=[*LEARNING_CODE, ML / "fallback.py", ML / "retraining.py"],
        deps=[
            ("gold", "training_sets"),
            ("models", "demand_studies"),
            ("models", "demand_backtest"),
            ("models", "demand_comparisons"),
        ],
        settings=[measure, default_config(graph)],
        condition=weekly_after_close(),
    )
    def demand_models(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        contract = graph.contract("models", "demand_models")
        reason = too_young(graph)
        if reason is not None:
            nothing = pl.DataFrame(arrow_schema(contract).empty_table())
            return materialise(context, lake, graph, contract, nothing, where="FALSE", metadata={"no_model": reason})
        config = train_config(lake, graph)
        rows, fold = labelled(*learning_rows(graph, manifest), measure), final_fold(graph)
        fallback = choose_fallback(lake.read("models.demand_comparisons"))
        fitted = fit_as_recorded(rows, fold, measure, config, fallback)
        version = model_version(fitted)
        folder = bundle_path(graph.settings, version)
        save_bundle(folder, fitted, bundle_manifest(manifest, fitted, rows))
        backtested = lake.read("models.demand_backtest", where=f"slice = 'all' AND method = '{MODEL}'")
        card = json.dumps(fallback, sort_keys=True) if fallback else None
        parameters = json.loads(config.to_json()) | ({"fallback": card} if card else {})
        number = registry.record(version, folder, parameters, _by_horizon(backtested))
        row = pl.DataFrame({
            "model_version": [version],
            "training_set_id": [manifest["training_set_id"]],
            "cutoff_week_start_date": [graph.cutoff_week()],
            "feature_set": [FEATURE_SET],
            "measure": [measure],
            "parameters": [config.to_json()],
            "calibration": [fitted.calibration.to_json()],
            "artifact_path": [f"models/{version}"],
            "data_version": [manifest["data_version"]],
            "fallback": pl.Series([card], dtype=pl.String),
        })  # fmt: skip
        figures = {"model_version": version, "registry_version": number, "fallback": dg.MetadataValue.json(fallback)}
        return materialise(context, lake, graph, contract, row, where=f"model_version = '{version}'", metadata=figures)

    return demand_models


def _by_horizon(metrics: pl.DataFrame) -> dict[str, float]:
    """Mean over the folds, as the names that the registry and the benchmarks use: wape_h1, coverage_80_h1, ..."""
    means = metrics.group_by("horizon_weeks").agg(pl.col("wape", "pinball", "coverage_80").mean()).sort("horizon_weeks")
    return {
        f"{name}_h{row['horizon_weeks']}": row[name]
        for row in means.iter_rows(named=True)
        for name in ("wape", "pinball", "coverage_80")
    }
