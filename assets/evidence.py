"""What the assets of a model share: the rows it learns from, its folds, and where its files lie.

Belongs here: paths, the training set at the lake's clock, whether there are weeks enough for a model, which groups a
model leaves to a baseline, what decides about totals. Does not belong here: assets, fits and decisions.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl

from assets.graph import Graph, NoWeekOver
from ml.censoring import CENSORING
from ml.features import FEATURE_KEY
from ml.forecaster import CalibratedModel
from ml.packaging import ENVIRONMENT, load_bundle
from ml.reference_rows import FORMAT, FORMAT_VERSION, REFERENCE, reference_rows
from ml.splits import Fold, SeriesTooShort, rolling_origin
from ml.study import folds_before
from ml.training import TrainConfig
from resources.environment import training_environment
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, Settings

# What decides about totals, tested or issued.
TOTALS_CODE = [
    PROJECT_ROOT / "ml" / f"{name}.py"
    for name in ("totals", "totals_ranges", "totals_tables", "reconciliation", "kernels", "baselines", "fallback")
]


def bundle_path(settings: Settings, version: str) -> Path:
    """The folder of a model's files."""
    return settings.artifacts / "models" / version


def bundle_manifest(
    training_set: Mapping[str, object], fitted: CalibratedModel, rows: pl.DataFrame
) -> dict[str, object]:
    """What is packed with a model: its training set's row, the environment of the fit, rows with their forecasts."""
    made_from = {name: str(value) for name, value in training_set.items()}
    reference = {FORMAT: FORMAT_VERSION, REFERENCE: reference_rows(fitted, rows)}
    return {**made_from, ENVIRONMENT: training_environment(), **reference}


def fallback_of(settings: Settings, version: str) -> dict[str, str]:
    """Product group to the baseline that forecasts it in the model's place, from the model's verified files."""
    fitted = load_bundle(bundle_path(settings, version), version).fitted
    return {group: baseline.method for group, baseline in fitted.fallback.items()}


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
    return rows.sort("ordinal", nulls_last=False).row(-1, named=True)


def learning_rows(graph: Graph, manifest: dict) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features and matured labels of a training set, from the copy that its manifest owns."""
    rows = pl.read_parquet(graph.settings.artifacts / manifest["content_path"])
    measures = ["transactions", "quantity_units", "net_sales_usd"]
    labels = rows.select(*FEATURE_KEY, "target_week_start_date", CENSORING, *measures)
    return rows.drop(*measures, CENSORING, "matures_at"), labels


def known_weeks(graph: Graph) -> list[date]:
    first, last = graph.settings.lake.weeks.first, graph.cutoff_week()
    return [week for week in graph.week_dates() if first <= week <= last]


def folds_at(graph: Graph) -> list[Fold]:
    """The folds of the backtest at the lake's clock."""
    chosen = graph.settings.lake.backtest
    horizon = max(graph.settings.lake.forecast.horizons_weeks)
    return rolling_origin(known_weeks(graph), chosen.folds, horizon, chosen.step_weeks)


def too_young(graph: Graph) -> str | None:
    """Why the lake has too few weeks to test and train a model, in a sentence; None when it has enough."""
    try:
        folds_at(graph)
    except SeriesTooShort as reason:
        return f"Too young for a model, so that the baselines stand in: {reason}"
    return None


def final_fold(graph: Graph, cutoff: date | None = None) -> Fold:
    """The fold that forecasts at a cutoff: the newest week that is over, or an earlier one."""
    horizon = max(graph.settings.lake.forecast.horizons_weeks)
    return rolling_origin(known_weeks(graph), 1, horizon, 1, last_cutoff=cutoff or graph.cutoff_week())[0]


def study_folds(graph: Graph) -> tuple[Fold, ...]:
    """The folds of the study, all before the backtest's; none while the lake has too few weeks for them."""
    chosen, horizon = graph.settings.lake.study, max(graph.settings.lake.forecast.horizons_weeks)
    try:
        step_weeks = graph.settings.lake.backtest.step_weeks
        return tuple(folds_before(folds_at(graph)[0], known_weeks(graph), chosen.folds, horizon, step_weeks))
    except (NoWeekOver, SeriesTooShort):
        return ()


def default_config(graph: Graph) -> TrainConfig:
    """The configuration that stands where no study has found a surely better one."""
    return TrainConfig(thread_count=graph.settings.threads)


def train_config(lake: Lake, graph: Graph) -> TrainConfig:
    """The default configuration with what the study chose.

    A study that saw outcomes of the backtest's test period, because the lake's clock was turned back or the backtest
    was made longer, has no say.
    """
    unseen = f"is_chosen AND last_target_week_start_date <= DATE'{folds_at(graph)[0].cutoff}'"
    chosen = lake.read("models.demand_studies", ["parameters"], where=unseen)["parameters"].to_list()
    return replace(default_config(graph), **json.loads(chosen[0])) if chosen else default_config(graph)
