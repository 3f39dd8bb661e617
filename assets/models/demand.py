"""Models: the demand model from training set to champion.

Belongs here: which rows are learned from, where evidence and bundles lie, and the order backtest -> model -> gate. Does
not belong here: splits, fits, metrics and the decision itself (ml).
"""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.graph import Graph, materialise
from ml.backtest import MODEL, BacktestPlan, backtest
from ml.baselines import BASELINES
from ml.features import FEATURE_KEY, FEATURE_SET
from ml.forecaster import fit_calibrated, labelled
from ml.packaging import load_bundle, model_version, save_bundle
from ml.promotion import ROW_KEY, Decision, Thresholds, decide
from ml.splits import Fold, rolling_origin
from ml.training import TrainConfig
from resources.lake import Lake
from resources.plots import accuracy_by_horizon
from resources.registry import MODEL_NAME, Registry
from resources.settings import PROJECT_ROOT, Settings

ML = PROJECT_ROOT / "ml"
LEARNING_CODE = [
    ML / f"{name}.py"
    for name in ("training", "forecaster", "intervals", "splits", "baselines", "evaluation", "backtest", "packaging")
]
GATE_CODE = [ML / "promotion.py", PROJECT_ROOT / "assets" / "models" / "demand.py"]
KINDS = {"catboost", "polars"}


def model_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Backtest, model and champion history of the demand model."""
    return [_backtest(graph), _model(graph), _gate(graph)]


def bundle_path(settings: Settings, version: str) -> Path:
    """The folder of a model's files."""
    return settings.artifacts / "models" / version


def evidence_path(settings: Settings, training_set_id: str) -> Path:
    """The scored rows of a backtest."""
    return settings.artifacts / "backtests" / f"{training_set_id}.parquet"


def newest_training_set(lake: Lake, graph: Graph) -> dict:
    """The manifest row of the training set at the lake's clock.

    Raises:
        LookupError: none was made for this cutoff.
    """
    rows = lake.read("gold.training_sets", where=f"cutoff_week_start_date = DATE'{graph.cutoff_week()}'")
    if rows.is_empty():
        raise LookupError(f"There is no training set for {graph.cutoff_week()}: materialise gold.training_sets.")
    return rows.row(rows.height - 1, named=True)


def learning_rows(graph: Graph, manifest: dict) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features and matured labels of a training set, from the copy that its manifest owns."""
    rows = pl.read_parquet(graph.settings.artifacts / manifest["content_path"])
    measures = ["transactions", "quantity_units", "net_sales_usd"]
    labels = rows.select(*FEATURE_KEY, "target_week_start_date", *measures)
    return rows.drop(*measures, "matures_at"), labels


def _weeks(graph: Graph) -> list:
    first, last = graph.settings.lake.weeks.first, graph.cutoff_week()
    return [week for week in graph.week_dates() if first <= week <= last]


def folds_at(graph: Graph) -> list[Fold]:
    """The folds of the backtest at the lake's clock."""
    chosen = graph.settings.lake.backtest
    horizon = max(graph.settings.lake.forecast.horizons_weeks)
    return rolling_origin(_weeks(graph), chosen.folds, horizon, chosen.step_weeks)


def final_fold(graph: Graph) -> Fold:
    """The fold that forecasts: its cutoff is the newest week that is over."""
    horizon = max(graph.settings.lake.forecast.horizons_weeks)
    return rolling_origin(_weeks(graph), 1, horizon, 1, last_cutoff=graph.cutoff_week())[0]


def train_config(graph: Graph) -> TrainConfig:
    return TrainConfig(thread_count=graph.settings.threads)


def _logger(context: dg.AssetExecutionContext) -> Callable[[int, int, str], None]:
    return lambda done, total, what: context.log.info("%s of %s: %s", done, total, what)


def _backtest(graph: Graph) -> dg.AssetsDefinition:
    measure = graph.settings.lake.forecast.measure

    @graph.asset(
        "models",
        "demand_backtest",
        kinds=KINDS,
        code=LEARNING_CODE,
        deps=[("gold", "training_sets")],
        settings=[graph.settings.lake.backtest, measure, train_config(graph)],
        condition=weekly_after_close(),
    )
    def demand_backtest(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        plan = BacktestPlan(tuple(folds_at(graph)), measure, train_config(graph))
        scored, metrics = backtest(*learning_rows(graph, manifest), plan, _logger(context))
        path = evidence_path(graph.settings, manifest["training_set_id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        scored.write_parquet(path)
        overall = metrics.filter((pl.col("slice") == "all") & (pl.col("method") == MODEL))
        figures = {
            **{name: round(value, 4) for name, value in _by_horizon(overall).items()},
            "folds": len(plan.folds),
            "accuracy": dg.MetadataValue.md(accuracy_by_horizon(metrics)),
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
        code=LEARNING_CODE,
        deps=[("gold", "training_sets"), ("models", "demand_backtest")],
        settings=[measure, train_config(graph)],
        condition=weekly_after_close(),
    )
    def demand_models(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        config = train_config(graph)
        rows = labelled(*learning_rows(graph, manifest), measure)
        fitted = fit_calibrated(rows, final_fold(graph), measure, config)
        version = model_version(fitted)
        folder = bundle_path(graph.settings, version)
        save_bundle(folder, fitted, {name: str(value) for name, value in manifest.items()})
        backtested = lake.read("models.demand_backtest", where=f"slice = 'all' AND method = '{MODEL}'")
        number = registry.record(version, folder, json.loads(config.to_json()), _by_horizon(backtested))
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
        })  # fmt: skip
        contract = graph.contract("models", "demand_models")
        figures = {"model_version": version, "registry_version": number}
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


def _gate(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "models",
        "champion_history",
        kinds={"python", "mlflow"},
        code=GATE_CODE,
        deps=[("models", "demand_models"), ("models", "demand_backtest"), ("gold", "training_sets")],
        settings=[Thresholds()],
        condition=weekly_after_close(),
    )
    def champion_history(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        challenger = lake.read("models.demand_models", where=f"training_set_id = '{manifest['training_set_id']}'")
        history = _history(lake, graph)
        champion = history.filter(pl.col("decision") == "promoted").tail(1)
        scored = pl.read_parquet(evidence_path(graph.settings, manifest["training_set_id"]))
        rival = None if champion.is_empty() else _champion_rows(graph, manifest, scored, champion["model_version"][0])
        decision = judge(scored, rival)
        row = _decision_row(graph, challenger["model_version"][0], champion, history.height + 1, decision)
        champion_version = row.filter(pl.col("decision") == "promoted")["model_version"].to_list()
        contract = graph.contract("models", "champion_history")
        same = f"model_name = '{MODEL_NAME}' AND decided_as_of = {_instant(graph)}"
        result = materialise(context, lake, graph, contract, row, where=same, metadata={
            "decision": row["decision"][0],
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in decision.reasons)),
        })  # fmt: skip
        for version in champion_version:
            registry.project_champion(version)
        return result

    return champion_history


def judge(scored: pl.DataFrame, rival: pl.DataFrame | None) -> Decision:
    """The gate on a backtest's rows: first against the baselines, then against the champion where it can be compared.

    Args:
        scored: rows of all methods.
        rival: the champion's rows on what it had not learned from; None when there is no champion.
    """
    own = scored.filter(pl.col("method") == MODEL)
    baselines = {name: scored.filter(pl.col("method") == name) for name in BASELINES}
    decision = decide(own, None, baselines, Thresholds())
    if rival is None or not decision.promoted:
        return decision
    if rival.is_empty():
        reason = "The champion has learned from every week that could be compared; it stays until newer weeks mature."
        return Decision(promoted=False, reasons=(reason,), evidence=decision.evidence)
    shared = {name: rows.join(rival.select(ROW_KEY), on=ROW_KEY, how="semi") for name, rows in baselines.items()}
    return decide(own.join(rival.select(ROW_KEY), on=ROW_KEY, how="semi"), rival, shared, Thresholds())


def _instant(graph: Graph) -> str:
    return f"TIMESTAMP'{graph.week_end(graph.cutoff_week()):%Y-%m-%d %H:%M:%S}'"


def _history(lake: Lake, graph: Graph) -> pl.DataFrame:
    """All decisions before the one at the lake's clock, in order; empty at first."""
    if not lake.exists("models.champion_history"):
        contract = graph.contract("models", "champion_history")
        lake.ensure_table(contract)
        return lake.query(f"SELECT * FROM {contract.audit_name} WHERE FALSE")
    return lake.read("models.champion_history", where=f"decided_as_of < {_instant(graph)}").sort("ordinal")


def _champion_rows(graph: Graph, manifest: dict, scored: pl.DataFrame, version: str) -> pl.DataFrame:
    """The champion's forecasts of the challenger's test rows that it had not learned from; may be empty."""
    bundle = load_bundle(bundle_path(graph.settings, version), version)
    features, _ = learning_rows(graph, manifest)
    seen_until = str(bundle.manifest["cutoff_week_start_date"])
    unseen = scored.filter(
        (pl.col("method") == MODEL) & (pl.col("cutoff_week_start_date").cast(pl.String) >= seen_until)
    )
    keys = unseen.rename({"cutoff_week_start_date": "week_start_date"}).drop("p10", "p50", "p90")
    rows = features.join(keys.select(*FEATURE_KEY), on=list(FEATURE_KEY), how="semi")
    forecasts = bundle.fitted.forecast(rows).select(*FEATURE_KEY, "p10", "p50", "p90")
    return keys.join(forecasts, on=list(FEATURE_KEY)).rename({"week_start_date": "cutoff_week_start_date"})


def _decision_row(
    graph: Graph, challenger: str, champion: pl.DataFrame, ordinal: int, decision: Decision
) -> pl.DataFrame:
    """One row of the champion history; the version is the champion after the decision."""
    previous = champion["model_version"][0] if champion.height else None
    promoted = decision.promoted and challenger != previous
    return pl.DataFrame(
        {
            "model_name": [MODEL_NAME],
            "ordinal": [ordinal],
            "model_version": [challenger if promoted or previous is None else previous],
            "previous_model_version": [previous],
            "decision": ["promoted" if promoted else "kept"],
            "decided_as_of": [graph.week_end(graph.cutoff_week())],
            "reasons": [list(decision.reasons)],
            "evidence": [json.dumps(dict(decision.evidence), sort_keys=True)],
        },
        schema_overrides={"previous_model_version": pl.String},
    )
