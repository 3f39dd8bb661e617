"""Models: the gate, and the history of who was champion.

Belongs here: what is compared with what, and the row that a decision leaves. Does not belong here: the decision itself
(ml.promotion).
"""

import json
from collections.abc import Mapping
from dataclasses import replace

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import bundle_path, evidence_path, fallback_of, learning_rows, newest_training_set, too_young
from assets.graph import Graph, materialise
from ml.backtest import MODEL, SLICES
from ml.baselines import BASELINES
from ml.evaluation_scaled import VOLUME_CLASSES
from ml.fallback import as_judged
from ml.features import FEATURE_KEY
from ml.packaging import load_bundle
from ml.promotion import ROW_KEY, Decision, Thresholds, decide
from resources.lake import Lake
from resources.registry import MODEL_NAME, Registry
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
# Where a challenger may not be surely worse, however good it is elsewhere.
GUARDS = {name: SLICES[name] for name in ("promotion", "base", *VOLUME_CLASSES)}
GATE_CODE = [ML / "promotion.py", ML / "fallback.py", PROJECT_ROOT / "assets" / "models" / "gate.py"]


def gate_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The champion history of the demand model."""
    return [_gate(graph)]


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
        reason = too_young(graph)
        if reason is None:
            scored = pl.read_parquet(evidence_path(graph.settings, manifest["training_set_id"]))
            reigning = None if champion.is_empty() else champion["model_version"][0]
            rival = None if reigning is None else _champion_rows(graph, manifest, scored, reigning)
            version = challenger["model_version"][0]
            decision = judge(scored, rival, fallback_of(graph.settings, version))
        else:
            decision, version = Decision(promoted=False, reasons=(reason,), evidence={}), None
        row = _decision_row(graph, version, champion, history.height + 1, decision)
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


def judge(scored: pl.DataFrame, rival: pl.DataFrame | None, fallback: Mapping[str, str]) -> Decision:
    """The gate on a backtest's rows: first against the baselines, then against the champion where it can be compared.

    What is judged is what would be published: the model with its fallback, every fold as the other folds would have
    it; `ml.fallback.as_judged` says which bias is left. The evidence counts the groups as `fallback.groups`.

    Args:
        scored: rows of all methods.
        rival: the champion's rows on what it had not learned from; None when there is no champion.
        fallback: product group to the baseline that forecasts it in the challenger's place.
    """
    decision = _judge(as_judged(scored, fallback) if fallback else scored, rival)
    return replace(decision, evidence={**decision.evidence, "fallback.groups": float(len(fallback))})


def _judge(scored: pl.DataFrame, rival: pl.DataFrame | None) -> Decision:
    own = scored.filter(pl.col("method") == MODEL)
    baselines = {name: scored.filter(pl.col("method") == name) for name in BASELINES}
    decision = decide(own, None, baselines, Thresholds())
    if rival is None or not decision.promoted:
        return decision
    if rival.is_empty():
        reason = "The champion has learned from every week that could be compared; it stays until newer weeks mature."
        return Decision(promoted=False, reasons=(reason,), evidence=decision.evidence)
    shared = {name: rows.join(rival.select(ROW_KEY), on=ROW_KEY, how="semi") for name, rows in baselines.items()}
    own = own.join(rival.select(ROW_KEY), on=ROW_KEY, how="semi")
    return decide(own, rival, shared, Thresholds(), GUARDS)


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
    graph: Graph, challenger: str | None, champion: pl.DataFrame, ordinal: int, decision: Decision
) -> pl.DataFrame:
    """One row of the champion history; the version is the champion after the decision, null while there is none."""
    previous = champion["model_version"][0] if champion.height else None
    promoted = decision.promoted and challenger != previous
    return pl.DataFrame(
        {
            "model_name": [MODEL_NAME],
            "ordinal": [ordinal],
            "model_version": [challenger if promoted else previous],
            "previous_model_version": [previous],
            "decision": ["promoted" if promoted else "kept"],
            "decided_as_of": [graph.week_end(graph.cutoff_week())],
            "reasons": [list(decision.reasons)],
            "evidence": [json.dumps(dict(decision.evidence), sort_keys=True)],
        },
        schema_overrides={"model_version": pl.String, "previous_model_version": pl.String},
    )
