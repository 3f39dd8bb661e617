"""Models: what a model was trained on, how far newer weeks are from it, and what was decided about that.

Belongs here: the three tables as assets. Does not belong here: histograms, tests and rules (ml), who is told
(resources.notifier), what runs on a request (assets.automation.sensors).

A week is held against the model that it found in charge: the one that was there before the gate judged that week's
challenger, which has learned from the week itself.
"""

import json
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import bundle_path, evidence_path, learning_rows, newest_training_set
from assets.graph import Graph, materialise
from checks.contracts.spark_schema import arrow_schema
from ml.backtest import MODEL
from ml.baselines import SIMPLE_RULE
from ml.champions import champion_at
from ml.drift import DriftThresholds, drift, error_drift, error_ratios
from ml.drift_decisions import Cause, DriftDecision, Policy, Response, Window, decide
from ml.evaluation import row_pinball
from ml.fallback import as_issued
from ml.features import DEMAND_FEATURES, FEATURE_SET, HORIZON, TARGET_WEEK
from ml.frame_checks import WEEK
from ml.histograms import SUBJECT, bins_of, histograms, make_bins, merged
from ml.packaging import Bundle, load_bundle
from ml.training import QuantileModel, predict
from resources.champions import HISTORY
from resources.lake import Lake
from resources.registry import MODEL_NAME
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
CODE = [ML / f"{name}.py" for name in ("histograms", "drift", "drift_decisions")] + [
    PROJECT_ROOT / "assets/models/drift.py"
]
SCORE = "forecast_p50"
# The calendar and the age of a series move by themselves, and a horizon is a question.
MONITORED = [f.name for f in DEMAND_FEATURES if f.kernel not in ("calendar", "age") and f.name != HORIZON]
REFERENCE, STATISTICS = "models.reference_histograms", "models.drift_statistics"
DECISIONS = "models.drift_decisions"
NO_MODEL = DriftDecision(Cause.NONE, Response.NOTHING, ("No model was in charge before this week.",))
UNTESTED = DriftDecision(
    Cause.NONE,
    Response.NOTHING,
    ("Not tested: of the training of the model in charge no reference was kept, or it takes other features.",),
)


def drift_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """References, distances and decisions."""
    return [_references(graph), _statistics(graph), _decisions(graph)]


def _references(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "models",
        "reference_histograms",
        kinds={"polars", "catboost"},
        code=[ML / "histograms.py", PROJECT_ROOT / "assets/models/drift.py"],
        deps=[("models", "demand_models"), ("gold", "training_sets")],
        condition=weekly_after_close(),
    )
    def reference_histograms(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("models", "reference_histograms")
        manifest = newest_training_set(lake, graph)
        models = lake.read("models.demand_models", where=f"training_set_id = '{manifest['training_set_id']}'")
        if models.is_empty():
            return materialise(context, lake, graph, contract, _nothing(graph, contract.name), where="FALSE")
        version = models["model_version"][0]
        features, _ = learning_rows(graph, manifest)
        rows = with_score(_bundle(graph, version).fitted.model, features)
        bins = make_bins(rows, [*MONITORED, SCORE])
        counted = histograms(rows, bins, WEEK).with_columns(model_version=pl.lit(version))
        figures = {"columns": len(bins), "weeks": counted[WEEK].n_unique()}
        where = f"model_version = '{version}'"
        return materialise(context, lake, graph, contract, counted, where=where, metadata=figures)

    return reference_histograms


def _statistics(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "models",
        "drift_statistics",
        kinds={"polars"},
        code=CODE,
        deps=[("gold", "demand_features"), ("models", "champion_history"), ("models", "reference_histograms")],
        settings=[DriftThresholds()],
        condition=weekly_after_close(),
    )
    def drift_statistics(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("models", "drift_statistics")
        week = graph.cutoff_week()
        version, rows = in_charge_before(graph, lake.read(HISTORY), week), _nothing(graph, contract.name)
        if version is not None:
            rows = week_statistics(lake, graph, week, version)
        figures: dict[str, Any] = {
            "drifted": rows["is_drifted"].sum(),
            "faults": rows["fault"].is_not_null().sum(),
            "largest": dg.MetadataValue.md(largest(rows)),
        }
        where = f"{WEEK} = DATE'{week}'"
        return materialise(context, lake, graph, contract, rows, where=where, metadata=figures)

    return drift_statistics


def _decisions(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "models",
        "drift_decisions",
        kinds={"python"},
        code=CODE,
        deps=[
            ("models", "drift_statistics"),
            ("models", "champion_history"),
            ("models", "demand_models"),
            ("forecasts", "forecast_accuracy"),
        ],
        settings=[Policy()],
        condition=weekly_after_close(),
    )
    def drift_decisions(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("models", "drift_decisions")
        week, policy = graph.cutoff_week(), Policy()
        history = lake.read(HISTORY)
        version, found, made = in_charge_before(graph, history, week), [], NO_MODEL
        if version is not None:
            weeks = [week - timedelta(weeks=ago) for ago in reversed(range(policy.windows))]
            found = windows(lake, graph, history, weeks)
            is_tested = not lake.read(STATISTICS, [WEEK], f"{WEEK} = DATE'{week}'").is_empty()
            made = decide(found, requests_before(lake, week), policy) if is_tested else UNTESTED
        row = pl.DataFrame({
            "model_name": [MODEL_NAME],
            WEEK: [week],
            "model_version": pl.Series([version], dtype=pl.String),
            "cause": [made.cause.value],
            "response": [made.response.value],
            "reasons": [list(made.reasons)],
            "evidence": [json.dumps([_shown(window) for window in found], sort_keys=True)],
            "decided_as_of": [graph.week_end(week)],
        })  # fmt: skip
        figures = {
            "response": made.response.value,
            "cause": made.cause.value,
            "week": week.isoformat(),
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in made.reasons)),
        }
        where = f"{WEEK} = DATE'{week}'"
        return materialise(context, lake, graph, contract, row, where=where, metadata=figures)

    return drift_decisions


def in_charge_before(graph: Graph, history: pl.DataFrame, week: date) -> str | None:
    """The model that was in charge before the gate judged the challenger of a week.

    Args:
        graph: of the lake.
        history: models.champion_history.
        week: first day of the business week.
    """
    return champion_at(history.filter(pl.col("decided_as_of") < graph.week_end(week)))


def with_score(model: QuantileModel, features: pl.DataFrame) -> pl.DataFrame:
    """The feature rows with the model's median before calibration and fallback.

    Raises:
        FeatureMismatch: the model takes other features.
    """
    return features.with_columns(predict(model, features)["p50"].alias(SCORE))


def week_statistics(lake: Lake, graph: Graph, week: date, version: str) -> pl.DataFrame:
    """models.drift_statistics of one week against the training rows of a model.

    None where no reference was kept, or where the model takes other features than this release computes.
    """
    reference = lake.read(REFERENCE, where=f"model_version = '{version}'").drop("model_version")
    rows = lake.read("gold.demand_features", where=f"{WEEK} = DATE'{week}'")
    model = _bundle(graph, version).fitted.model
    if reference.is_empty() or rows.is_empty() or model.signature.feature_set != FEATURE_SET:
        return _nothing(graph, "drift_statistics")
    scored = with_score(model, rows)
    current = histograms(scored, bins_of(merged([reference])), WEEK)
    return drift(reference, current, DriftThresholds()).with_columns(model_version=pl.lit(version))


def windows(lake: Lake, graph: Graph, history: pl.DataFrame, weeks: list[date]) -> list[Window]:
    """What was found in each of the weeks, and how the forecasts of it, made one week before, came true."""
    rows = lake.read(STATISTICS, where=f"{WEEK} >= DATE'{weeks[0]}'")
    asked = f"{TARGET_WEEK} >= DATE'{weeks[0]}' AND {HORIZON} = 1 AND slice = 'all'"
    losses = lake.read("forecasts.forecast_accuracy", [f"{TARGET_WEEK} AS week", "method", "pinball"], asked)
    realised = dict(error_ratios(losses, MODEL, SIMPLE_RULE).iter_rows())
    found = []
    for week in weeks:
        own, version = rows.filter(pl.col(WEEK) == week), in_charge_before(graph, history, week)
        broken = own.filter(pl.col("fault").is_not_null()).select(SUBJECT, "fault").rows()
        faults = tuple(f"{subject}: {fault}" for subject, fault in broken)
        error = None
        if week in realised and version is not None:
            error = error_drift(tested_errors(lake, graph, version), realised[week])
        found.append(Window(week, faults, tuple(own.filter("is_drifted")[SUBJECT]), error))
    return found


def tested_errors(lake: Lake, graph: Graph, version: str) -> list[float]:
    """ln(loss of a model / loss of the simple rule), week by week of the backtest of its training set."""
    model = lake.read("models.demand_models", where=f"model_version = '{version}'").row(0, named=True)
    scored = pl.read_parquet(evidence_path(graph.settings, model["training_set_id"])).filter(pl.col(HORIZON) == 1)
    issued = as_issued(scored, {name: item.method for name, item in _bundle(graph, version).fitted.fallback.items()})
    losses = issued.group_by(pl.col(TARGET_WEEK).alias("week"), "method").agg(pinball=row_pinball().mean())
    return error_ratios(losses, MODEL, SIMPLE_RULE)["log_ratio"].to_list()


def requests_before(lake: Lake, week: date) -> list[date]:
    """The earlier weeks whose decision asked for a retraining."""
    if not lake.exists(DECISIONS):
        return []
    asked = f"response = '{Response.RETRAIN}' AND {WEEK} < DATE'{week}'"
    return lake.read(DECISIONS, [WEEK], asked)[WEEK].to_list()


def largest(rows: pl.DataFrame, count: int = 10) -> str:
    """The columns that are furthest from usual, as a Markdown table."""
    ranked = rows.sort("p_value", "psi", SUBJECT, descending=[False, True, False]).head(count)
    lines = [
        f"| {row[SUBJECT]} | {row['psi']:.2f} | {row['psi_usual']:.2f} | {row['ks']:.2f} | {row['p_value']:.2g} | "
        f"{row['fault'] or ('drifted' if row['is_drifted'] else '')} |"
        for row in ranked.iter_rows(named=True)
    ]
    return "\n".join(["| column | PSI | usually | KS | p | |", "|---|---:|---:|---:|---:|---|", *lines])


def _shown(window: Window) -> dict[str, object]:
    return {
        "week": window.week.isoformat(),
        "faults": list(window.faults),
        "drifted": list(window.drifted),
        "error_p": window.error_p,
    }


def _bundle(graph: Graph, version: str) -> Bundle:
    return load_bundle(bundle_path(graph.settings, version), version)


def _nothing(graph: Graph, name: str) -> pl.DataFrame:
    return pl.DataFrame(arrow_schema(graph.contract("models", name)).empty_table())
