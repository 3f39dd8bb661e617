"""Gold: training sets, pinned by content.

Belongs here: which rows a model may learn from, and where their copy lies. Does not belong here: splits and fits. The
rows are stored as a Parquet file named by their digest, because VACUUM does not respect pins (ARCHITECTURE decision 8).
"""

import hashlib
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.graph import Graph, materialise
from ml.censoring import CENSORING, censored_counts
from ml.digest import canonical_digest
from ml.features import FEATURE_KEY, FEATURE_SET
from ml.labels import mature
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, Settings

MEASURES = ("transactions", "quantity_units", "net_sales_usd")
CODE = [PROJECT_ROOT / "assets" / "gold" / "training_sets.py", PROJECT_ROOT / "ml" / "labels.py"]
INPUTS = [("gold", "demand_features"), ("gold", "demand_labels")]


def training_rows_path(settings: Settings, training_set_id: str) -> Path:
    """The copy of a training set's rows."""
    return settings.artifacts / "training_sets" / f"{training_set_id}.parquet"


def training_set_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The training sets of the demand model."""

    @graph.asset(
        "gold",
        "training_sets",
        kinds={"polars", "parquet"},
        code=CODE,
        deps=INPUTS,
        settings=[graph.settings.lake.as_of, FEATURE_SET],
        condition=weekly_after_close(),
    )
    def training_sets(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        features = lake.read("gold.demand_features")
        rows = training_rows(features, lake.read("gold.demand_labels"), graph.settings.as_of)
        digest = canonical_digest(rows, list(FEATURE_KEY))
        path = training_rows_path(graph.settings, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(path)
        made = lake.read("gold.training_sets") if lake.exists("gold.training_sets") else None
        manifest = manifest_row(graph, rows, digest, ordinal_of(digest, made))
        where = f"training_set_id = '{digest}'"
        contract = graph.contract("gold", "training_sets")
        figures = {
            "training_set_id": digest,
            "rows": rows.height,
            "series": manifest["series_count"][0],
            "cutoff": str(manifest["cutoff_week_start_date"][0]),
            **{f"{kind}_rows": count for kind, count in censored_counts(rows).items()},
        }
        return materialise(context, lake, graph, contract, manifest, where=where, metadata=figures)

    return [training_sets]


def training_rows(features: pl.DataFrame, labels: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Features with the outcomes that have matured by `as_of`; one row per key of the features that has one.

    Censored outcomes are among them with their kind: a fit leaves them out, a backtest scores them.

    Raises:
        ValueError: no outcome has matured yet.
    """
    keys = [*FEATURE_KEY, "target_week_start_date"]
    rows = features.join(mature(labels, as_of).select(*keys, *MEASURES, CENSORING, "matures_at"), on=keys).sort(
        FEATURE_KEY
    )
    if rows.is_empty():
        raise ValueError("No outcome has matured at the lake's clock: there is nothing to learn from yet.")
    return rows


def ordinal_of(digest: str, made: pl.DataFrame | None) -> int:
    """The place of a set in the order of making: one after the newest, its own when it is the newest.

    Releases before this column made sets without it.
    """
    if made is None or "ordinal" not in made.columns or made["ordinal"].max() is None:
        return 1
    newest = made.sort("ordinal", nulls_last=False).row(-1, named=True)
    return newest["ordinal"] + (newest["training_set_id"] != digest)


def manifest_row(graph: Graph, rows: pl.DataFrame, digest: str, ordinal: int) -> pl.DataFrame:
    """One row of gold.training_sets: what the set is, without any path of this machine."""
    contracts = "".join(graph.contract(*key).sha256 for key in INPUTS)
    return pl.DataFrame({
        "training_set_id": [digest],
        "ordinal": [ordinal],
        "feature_set": [FEATURE_SET],
        "cutoff_week_start_date": [graph.cutoff_week()],
        "first_week_start_date": [rows["week_start_date"].min()],
        "row_count": [rows.height],
        "series_count": [rows.select("store_id", "product_group").n_unique()],
        "row_sha256": [digest],
        "data_version": [digest],
        "contract_sha256": [hashlib.sha256(contracts.encode()).hexdigest()],
        "content_path": [f"training_sets/{digest}.parquet"],
    })  # fmt: skip
