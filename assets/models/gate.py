"""Models: the gate, and the history of who was champion.

Belongs here: what is compared with what, and the history with its decision. Does not belong here: the decision itself
(ml.promotion), what may follow on what (ml.champions), the registry's alias, which follows publication.
"""

from collections.abc import Mapping
from dataclasses import replace

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import bundle_path, evidence_path, fallback_of, learning_rows, newest_training_set, too_young
from assets.graph import Graph, materialise
from checks.contracts.spark_schema import arrow_schema
from ml.backtest import MODEL, SLICES
from ml.baselines import BASELINES
from ml.champions import champion_at, gate_row, require_linear, standing, withdrawn
from ml.evaluation_scaled import VOLUME_CLASSES
from ml.fallback import as_judged
from ml.features import FEATURE_KEY
from ml.packaging import load_bundle
from ml.promotion import ROW_KEY, Decision, Thresholds, decide
from resources.champions import HISTORY
from resources.lake import Lake
from resources.registry import MODEL_NAME
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
# Where a challenger may not be surely worse, however good it is elsewhere.
GUARDS = {name: SLICES[name] for name in ("promotion", "base", *VOLUME_CLASSES)}
GATE_CODE = [
    ML / "promotion.py",
    ML / "champions.py",
    ML / "fallback.py",
    PROJECT_ROOT / "assets" / "models" / "gate.py",
]


def gate_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The champion history of the demand model."""
    return [_gate(graph)]


def _gate(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "models",
        "champion_history",
        kinds={"python"},
        code=GATE_CODE,
        deps=[("models", "demand_models"), ("models", "demand_backtest"), ("gold", "training_sets")],
        settings=[Thresholds()],
        condition=weekly_after_close(),
    )
    def champion_history(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("models", "champion_history")
        history, at = published_history(lake, graph), graph.week_end(graph.cutoff_week())
        start = standing(history, at)
        if start.is_settled:
            reason = "Later decisions rest on the one of this week: it stays."
            return materialise(context, lake, graph, contract, history, metadata={"decision": reason})
        challenger, decision = _decide(lake, graph, start.before)
        row = gate_row(MODEL_NAME, start.before, at, challenger, decision)
        rows = pl.concat([start.before, row], how="diagonal_relaxed")
        require_linear(rows)
        return materialise(context, lake, graph, contract, rows, metadata={
            "decision": row["decision"][0],
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in decision.reasons)),
        })  # fmt: skip

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


def published_history(lake: Lake, graph: Graph) -> pl.DataFrame:
    """All published decisions, in order; no row before the first."""
    if lake.exists(HISTORY):
        return lake.read(HISTORY).sort("ordinal")
    return pl.DataFrame(arrow_schema(graph.contract("models", "champion_history")).empty_table())


def _decide(lake: Lake, graph: Graph, before: pl.DataFrame) -> tuple[str | None, Decision]:
    """The challenger at the lake's clock, and the gate's decision about it."""
    reason = too_young(graph)
    if reason is not None:
        return None, Decision(promoted=False, reasons=(reason,), evidence={})
    manifest = newest_training_set(lake, graph)
    challenger = lake.read("models.demand_models", where=f"training_set_id = '{manifest['training_set_id']}'")
    version, champion = challenger["model_version"][0], champion_at(before)
    if version in withdrawn(before):
        reason = "It was rolled back; only `liftlake rollback --to` puts it in charge again."
        return version, Decision(promoted=False, reasons=(reason,), evidence={})
    scored = pl.read_parquet(evidence_path(graph.settings, manifest["training_set_id"]))
    rival = None if champion is None else _champion_rows(graph, manifest, scored, champion)
    return version, judge(scored, rival, fallback_of(graph.settings, version))


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
