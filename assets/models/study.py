"""Models: the study of hyper-parameters.

Belongs here: when a study is made, and the rows that it leaves. Does not belong here: the search (ml.study).
"""

import json

import dagster as dg
import polars as pl

from assets.automation.conditions import once
from assets.evidence import default_config, learning_rows, newest_training_set, study_folds
from assets.graph import Graph, materialise
from ml.features import FEATURE_SET
from ml.study import Study, StudyPlan, run_study
from resources.lake import Lake
from resources.plots import wape_by_trial
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
STUDY_CODE = [
    ML / f"{name}.py"
    for name in (
        "study",
        "training",
        "forecaster",
        "splits",
        "censoring",
        "evaluation",
        "evaluation_differences",
    )
]


def study_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The study of the demand model's hyper-parameters."""
    asked = graph.settings.lake
    budget, measure = asked.study, asked.forecast.measure

    # Another week is no reason for another study; enough weeks for the first one that can judge anything are.
    @graph.asset(
        "models",
        "demand_studies",
        kinds={"optuna", "catboost", "polars"},
        code=STUDY_CODE,
        deps=[("gold", "training_sets")],
        settings=[budget, asked.forecast, asked.backtest, asked.scope, FEATURE_SET, bool(study_folds(graph))],
        condition=once(),
        is_kept=True,
    )
    def demand_studies(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        def progress(done: int, total: int, what: str) -> None:
            context.log.info("%s of %s: %s", done, total, what)

        manifest = newest_training_set(lake, graph)
        plan = StudyPlan(study_folds(graph), budget.trials, measure, default_config(graph))
        study = run_study(*learning_rows(graph, manifest), plan, progress)
        rows = study.trials.with_columns(
            training_set_id=pl.lit(manifest["training_set_id"]),
            cutoff_week_start_date=pl.lit(graph.cutoff_week()),
            feature_set=pl.lit(FEATURE_SET),
            measure=pl.lit(measure),
        )
        contract = graph.contract("models", "demand_studies")
        return materialise(context, lake, graph, contract, rows, metadata=figures(study))

    return [demand_studies]


def figures(study: Study) -> dict[str, object]:
    """What the study found, as metadata of its asset."""
    trials = study.trials
    chosen, best = (trials.filter(name).row(0, named=True) for name in ("is_chosen", "is_best"))
    found: dict[str, object] = {
        "trials": trials.height,
        "states": dict(trials.group_by("state").len().sort("state").iter_rows()),
        "chosen_trial": chosen["trial"],
        "chosen_parameters": dg.MetadataValue.json(json.loads(chosen["parameters"])),
    }
    if best["wape"] is None:
        return found
    return {
        **found,
        "default_wape": round(trials["wape"][0], 4),
        "best_wape": round(best["wape"], 4),
        "best_parameters": dg.MetadataValue.json(json.loads(best["parameters"])),
        "wape_by_trial": dg.MetadataValue.md(wape_by_trial(trials)),
    }
