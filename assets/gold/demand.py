"""Gold: weekly demand series, promotion plans, features and labels.

Belongs here: which silver rows each table is made from. Does not belong here: what a series, feature or label is (ml).
Sums run in Spark, where the receipts are; the dense spine and the windows run in native kernels on what is left.
"""

from datetime import date, timedelta

import dagster as dg
import polars as pl

from assets.automation.conditions import when_inputs_pass
from assets.graph import Graph, in_weeks, materialise
from assets.product_lines import group_filter
from ml.censoring import censored_counts
from ml.features import compute_features
from ml.labels import build_labels
from ml.plans import PLAN_SCHEMA, promotion_plans
from ml.scope import eligible_stores
from ml.series import dense_series
from resources.lake import Lake
from resources.plots import weekly_totals
from resources.settings import PROJECT_ROOT
from resources.spark_features import features_in_spark

ML = PROJECT_ROOT / "ml"
SERIES_CODE = [
    ML / "series.py",
    ML / "business_calendar.py",
    PROJECT_ROOT / "assets" / "product_lines.py",
    PROJECT_ROOT / "assets" / "gold" / "demand.py",
]
FEATURE_CODE = [
    *SERIES_CODE,
    *(ML / f"{name}.py" for name in ("feature_declaration", "features", "kernels", "panels", "scope", "surroundings")),
]
KINDS = {"spark", "polars", "deltalake"}
SILVER_LINES = ("silver", "fct_receipt_lines")
SILVER_PLANS = ("silver", "fct_promotions")
SERIES = ("gold", "demand_series")
PLANS = ("gold", "promotion_plans")


def gold_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The demand tables of the gold layer."""
    plans = [_promotion_plans(graph)] if graph.has(*PLANS) else []
    return [*plans, _demand_series(graph), _demand_features(graph), _demand_labels(graph)]


def planned(lake: Lake, graph: Graph, where: str = "TRUE") -> pl.DataFrame:
    """The promotion plans that a condition names; none at all where the source plans no promotions."""
    if not graph.has(*PLANS):
        return pl.DataFrame(schema=PLAN_SCHEMA)
    return lake.read("gold.promotion_plans", where=where)


def _plans_of(graph: Graph) -> list[tuple[str, str]]:
    return [PLANS] if graph.has(*PLANS) else []


def _weeks_through(graph: Graph, last: str) -> list[date]:
    return [date.fromisoformat(key) for key in graph.week_keys() if key <= last]


def _promotion_plans(graph: Graph) -> dg.AssetsDefinition:
    scope = graph.settings.lake.scope

    @graph.asset(
        "gold",
        "promotion_plans",
        kinds=KINDS,
        code=[ML / "plans.py"],
        weeks="covered",
        deps=[SILVER_PLANS, ("silver", "dim_product")],
        settings=[scope.product_groups],
        condition=when_inputs_pass(),
    )
    def plans(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("gold", "promotion_plans")
        weeks = context.partition_key_range
        in_scope = group_filter(scope.product_groups)
        groups = f"SELECT product_id, product_group FROM silver.dim_product WHERE is_current AND {in_scope}"
        counts = lake.query(
            "SELECT store_id, product_group, week_start_date, kind, COUNT(*) AS products, "
            f"MIN(event_at) AS event_at, MAX(known_at) AS known_at FROM silver.fct_promotions JOIN ({groups}) "
            f"USING (product_id) WHERE week_start_date BETWEEN DATE'{weeks.start}' AND DATE'{weeks.end}' "
            "GROUP BY store_id, product_group, week_start_date, kind"
        )
        sizes = lake.query(f"SELECT product_group, COUNT(*) AS products FROM ({groups}) GROUP BY product_group")
        rows = promotion_plans(counts, sizes)
        return materialise(context, lake, graph, contract, rows)

    return plans


def _demand_series(graph: Graph) -> dg.AssetsDefinition:
    scope = graph.settings.lake.scope

    @graph.asset(
        "gold",
        "demand_series",
        kinds=KINDS,
        code=SERIES_CODE,
        weeks="covered",
        deps=[("silver", "dim_product"), *_plans_of(graph)],
        read_through={SILVER_LINES: 0},
        settings=[scope.product_groups],
        condition=when_inputs_pass(),
    )
    def series(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        last = context.partition_key_range.end
        sums = lake.query(
            "SELECT store_id, product_group, week_start_date, "
            "COUNT(DISTINCT transaction_id) FILTER (WHERE NOT is_returned) AS transactions, "
            "CAST(SUM(net_quantity_units) AS DECIMAL(18,4)) AS quantity_units, "
            "CAST(SUM(net_sales_usd) AS DECIMAL(18,4)) AS net_sales_usd, "
            "CAST(SUM(sales_amount_usd + retail_discount_usd) AS DECIMAL(18,4)) AS gross_sales_usd "
            "FROM silver.fct_receipt_lines JOIN (SELECT product_id, product_group FROM silver.dim_product "
            f"WHERE is_current AND {group_filter(scope.product_groups)}) USING (product_id) "
            f"WHERE NOT is_non_merchandise AND week_start_date <= DATE'{last}' "
            "GROUP BY store_id, product_group, week_start_date"
        )
        day = f"CAST(from_utc_timestamp(event_at, '{graph.mapping.timezone}') AS DATE)"
        covered = lake.query(f"SELECT MIN({day}) AS first, MAX({day}) AS last FROM silver.fct_receipt_lines")
        weeks = _weeks_through(graph, last)
        rows = dense_series(
            sums,
            planned(lake, graph, f"week_start_date <= DATE'{last}'"),
            weeks,
            graph.mapping.timezone,
            partial_weeks=partial_weeks(weeks, covered["first"][0], covered["last"][0]),
        )
        contract = graph.contract("gold", "demand_series")
        figures = {
            "series": rows.n_unique(["store_id", "product_group"]),
            "transactions": int(rows["transactions"].sum()),
            "weekly_totals": dg.MetadataValue.md(weekly_totals(rows)),
        }
        return materialise(
            context,
            lake,
            graph,
            contract,
            rows.filter(in_weeks(context, contract)),
            metadata=figures,
        )

    return series


def partial_weeks(weeks: list[date], first_day: date, last_day: date) -> list[date]:
    """The weeks of which the source does not hold all days: those that begin before its first or end after its last.

    A week after the last receipt is no week without demand: nothing is known of it yet.
    """
    return [week for week in weeks if week < first_day or last_day < week + timedelta(days=6)]


def _demand_features(graph: Graph) -> dg.AssetsDefinition:
    lake_settings = graph.settings.lake
    minimum = lake_settings.scope.min_weekly_transactions
    horizons = lake_settings.forecast.horizons_weeks

    @graph.asset(
        "gold",
        "demand_features",
        kinds=KINDS,
        code=FEATURE_CODE,
        weeks="closed",
        # A plan for a target week was known before it.
        read_through={SERIES: 0, **dict.fromkeys(_plans_of(graph), max(horizons))},
        settings=[horizons, minimum],
        condition=when_inputs_pass(),
    )
    def features(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        weeks = context.partition_key_range
        series = lake.read("gold.demand_series", where=f"week_start_date <= DATE'{weeks.end}'")
        cutoffs = [week for week in _weeks_through(graph, weeks.end) if week >= date.fromisoformat(weeks.start)]
        rows = _computed(lake, graph, series, cutoffs)
        rows = rows.join(eligible_stores(series, cutoffs, minimum), on=["store_id", "week_start_date"], how="semi")
        contract = graph.contract("gold", "demand_features")
        figures = {"stores": rows["store_id"].n_unique()}
        return materialise(context, lake, graph, contract, rows, metadata=figures)

    return features


def _computed(lake: Lake, graph: Graph, series: pl.DataFrame, cutoffs: list[date]) -> pl.DataFrame:
    """Features where the rows are: in this process, or on the workers of a cluster (docs/adr/0016)."""
    horizons = graph.settings.lake.forecast.horizons_weeks
    if lake.settings.spark_remote is None:
        return compute_features(series, planned(lake, graph), cutoffs, horizons)
    past = lake.relation("gold.demand_series").where(f"week_start_date <= DATE'{max(cutoffs)}'")
    plans = lake.relation("gold.promotion_plans") if graph.has(*PLANS) else None
    return features_in_spark(lake.spark, past, plans, graph.contract("gold", "demand_features"), cutoffs, horizons)


def _demand_labels(graph: Graph) -> dg.AssetsDefinition:
    horizons = graph.settings.lake.forecast.horizons_weeks

    @graph.asset(
        "gold",
        "demand_labels",
        kinds={"polars", "deltalake"},
        code=[*SERIES_CODE, ML / "labels.py", ML / "censoring.py"],
        weeks="closed",
        # A partition is the target week, of whatever cutoffs. Whether its zero is believed depends on all weeks before.
        read_through={SERIES: 0},
        settings=[horizons],
        condition=when_inputs_pass(),
    )
    def labels(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        series = lake.read("gold.demand_series", where=f"week_start_date <= DATE'{context.partition_key_range.end}'")
        contract = graph.contract("gold", "demand_labels")
        rows = build_labels(series, horizons).filter(in_weeks(context, contract))
        figures = {f"{kind}_rows": count for kind, count in censored_counts(rows).items()}
        return materialise(context, lake, graph, contract, rows, metadata=figures)

    return labels
