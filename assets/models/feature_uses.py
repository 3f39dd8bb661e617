"""Models: which features each model uses, so that a feature can be asked for its models.

Belongs here: the table as an asset. Does not belong here: importance (ml), features.
"""

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import bundle_path, newest_training_set
from assets.graph import Graph, materialise
from checks.contracts.spark_schema import arrow_schema
from ml.feature_uses import feature_uses
from ml.packaging import load_bundle
from resources.lake import Lake
from resources.settings import PROJECT_ROOT

CODE = [PROJECT_ROOT / "ml/feature_uses.py", PROJECT_ROOT / "assets/models/feature_uses.py"]
SHOWN = 10


def feature_use_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The features of the model at the lake's clock; those of earlier models stay."""

    @graph.asset(
        "models",
        "feature_uses",
        kinds={"catboost", "polars"},
        code=CODE,
        deps=[("models", "demand_models"), ("gold", "training_sets")],
        condition=weekly_after_close(),
    )
    def uses(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("models", "feature_uses")
        training_set = newest_training_set(lake, graph)["training_set_id"]
        models = lake.read("models.demand_models", where=f"training_set_id = '{training_set}'")
        if models.is_empty():
            nothing = pl.DataFrame(arrow_schema(contract).empty_table())
            return materialise(context, lake, graph, contract, nothing, where="FALSE")
        model = models.row(0, named=True)
        version = model["model_version"]
        fitted = load_bundle(bundle_path(graph.settings, version), version).fitted
        about = [pl.lit(model[name]).alias(name) for name in ("model_version", "feature_set", "measure")]
        rows = feature_uses(fitted.model).with_columns(*about, cutoff_week_start_date=model["cutoff_week_start_date"])
        figures = {"largest": dg.MetadataValue.md(largest(rows))}
        where = f"model_version = '{version}'"
        return materialise(context, lake, graph, contract, rows, where=where, metadata=figures)

    return [uses]


def largest(rows: pl.DataFrame) -> str:
    """The features that move a model's forecasts most, as a Markdown table."""
    ranked = rows.sort("importance_percent", "feature", descending=[True, False]).head(SHOWN)
    lines = [f"| {row['feature']} | {row['importance_percent']:.1f} |" for row in ranked.iter_rows(named=True)]
    return "\n".join(["| feature | importance, % |", "|---|---:|", *lines])
