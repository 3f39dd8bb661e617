"""Insights: what every forecast of the newest issue is made up of.

Belongs here: which model and rows are explained. Does not belong here: the parts and their refits (ml).
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from assets.automation.conditions import when_inputs_pass
from assets.evidence import bundle_path, final_fold, learning_rows, train_config
from assets.graph import Graph, materialise
from checks.contracts.spark_schema import arrow_schema
from ml.backtest import MODEL
from ml.driver_stability import Refits, driver_totals, refits, with_stability
from ml.drivers import decompose
from ml.forecaster import labelled, training_rows
from ml.packaging import Bundle, load_bundle
from ml.scoring import ISSUE_WEEK
from ml.training import QuantileModel
from resources.lake import Lake
from resources.plots import driver_bars
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
CODE = [
    *(ML / f"{name}.py" for name in ("drivers", "driver_stability", "training", "intervals")),
    PROJECT_ROOT / "assets/insights/drivers.py",
]
# Each costs a fit: enough to see a sign that changes, few enough for a laptop.
REFITS = Refits(count=5)


def driver_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The drivers of the forecasts, vintage by vintage."""

    @graph.asset(
        "insights",
        "demand_drivers",
        kinds={"catboost", "polars"},
        code=CODE,
        weeks="issue",
        deps=[
            ("forecasts", "demand_forecasts"),
            ("gold", "demand_features"),
            ("gold", "training_sets"),
            ("models", "demand_studies"),
        ],
        settings=[REFITS],
        condition=when_inputs_pass(),
    )
    def demand_drivers(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("insights", "demand_drivers")
        weeks = context.partition_key_range
        issued = lake.read(
            "forecasts.demand_forecasts",
            [ISSUE_WEEK, "issued_as_of", "measure", "model_version"],
            f"method = '{MODEL}' AND {ISSUE_WEEK} BETWEEN DATE'{weeks.start}' AND DATE'{weeks.end}'",
        ).unique()
        explained = [
            _explained(lake, graph, str(version), part).join(part, on=ISSUE_WEEK)
            for (version,), part in issued.sort(ISSUE_WEEK).partition_by("model_version", as_dict=True).items()
        ]
        if all(part.is_empty() for part in explained):
            nothing = pl.DataFrame(arrow_schema(contract).empty_table())
            return materialise(context, lake, graph, contract, nothing, metadata={"no_model": "Baselines stand in."})
        rows = pl.concat(explained)
        newest = rows.filter(pl.col(ISSUE_WEEK) == rows[ISSUE_WEEK].max())
        figures = {
            "drivers": dg.MetadataValue.md(driver_bars(newest)),
            "stability": dg.MetadataValue.md(stability_table(newest)),
        }
        return materialise(context, lake, graph, contract, rows, metadata=figures)

    return [demand_drivers]


def _explained(lake: Lake, graph: Graph, version: str, issued: pl.DataFrame) -> pl.DataFrame:
    """The drivers of the issues of one model: its refits serve them all."""
    bundle = load_bundle(bundle_path(graph.settings, version), version)
    models = list(refitted(lake, graph, bundle))
    return pl.concat(_issue(lake, bundle, models, week) for week in issued[ISSUE_WEEK])


def _issue(lake: Lake, bundle: Bundle, models: Sequence[QuantileModel], week: date) -> pl.DataFrame:
    features = lake.read("gold.demand_features", where=f"week_start_date = DATE'{week}'")
    return with_stability(decompose(bundle.fitted, features), features, iter(models))


def refitted(lake: Lake, graph: Graph, bundle: Bundle) -> list[QuantileModel]:
    """Refits of a model on draws from its own training set."""
    measure = bundle.fitted.model.signature.measure
    cutoff = date.fromisoformat(str(bundle.manifest["cutoff_week_start_date"]))
    rows = labelled(*learning_rows(graph, dict(bundle.manifest)), measure)
    learned = training_rows(rows, final_fold(graph, cutoff))
    return list(refits(learned, measure, train_config(lake, graph), REFITS))


def stability_table(rows: pl.DataFrame) -> str:
    """The drivers of an issue as a Markdown table: sums over its forecasts and how they come out in refits."""
    lines = ["| driver | sum | without the plan | mean of refits | same sign |", "|---|---:|---:|---:|---:|"]
    for row in driver_totals(rows).iter_rows(named=True):
        cells = [_number(row[name], 1) for name in ("contribution", "counterfactual", "refit_mean")]
        share = "" if row["same_sign_share"] is None else f"{row['same_sign_share']:.0%}"
        lines.append(f"| {row['driver']} ({row['part']}) | {' | '.join(cells)} | {share} |")
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:+,.{digits}f}"
