"""The report: one self-contained page and the table of every figure on it.

Belongs here: which tables the page is made from and where it lies. Does not belong here: what the page says (page,
content) or how it draws.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from assets.evidence import evidence_path, fallback_of, newest_training_set
from assets.graph import Graph, materialise
from assets.insights.analyst import analyst_name
from assets.insights.content import COLUMNS, Champion, ReportContent, Scope
from assets.insights.page import figures, render, render_analyst
from ml.backtest import backtest_metrics
from ml.champions import changes
from ml.comparisons import comparisons
from ml.fallback import as_issued
from ml.features import FEATURE_KEY, TARGET_WEEK
from ml.frame_checks import SERIES_KEY
from resources.ages import table_ages
from resources.lake import Lake
from resources.plots import accuracy_by_horizon, largest_series_band
from resources.settings import PROJECT_ROOT, WEEK, Settings

LIFT, ADVICE = ("insights", "promotion_lift"), ("insights", "next_actions")
OUTCOMES = ("insights", "action_outcomes")
FOLDER, ML = PROJECT_ROOT / "assets" / "insights", PROJECT_ROOT / "ml"
# Errors are analysed over a quarter of issues: older ones were made by older models.
EARLIER_ISSUES = 13 * WEEK
CHECK_COLUMNS = {
    "table_name": pl.String, "rules": pl.Int64, "failed": pl.Int64, "warned": pl.Int64, "rows_audited": pl.Int64,
    "outcome": pl.String,
}  # fmt: skip
FRESHNESS_COLUMNS = {
    "table_name": pl.String, "newest_at": pl.Datetime("us", "UTC"), "sla_days": pl.Float64, "is_fresh": pl.Boolean,
}  # fmt: skip


def report_path(settings: Settings) -> Path:
    """The newest report of a lake."""
    return settings.artifacts / "report" / "report.html"


def insight_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The insight layer: the report."""

    @graph.asset(
        "insights",
        "report",
        kinds={"python", "html"},
        code=[
            *FOLDER.glob("*.py"),
            *FOLDER.glob("templates/*"),
            *(ML / f"{name}.py" for name in ("misses", "totals_ranges", "fallback")),
        ],
        deps=[
            ("gold", "demand_series"),
            ("gold", "demand_features"),
            ("gold", "training_sets"),
            ("models", "demand_backtest"),
            ("models", "demand_comparisons"),
            ("models", "totals_backtest"),
            ("models", "champion_history"),
            ("forecasts", "demand_forecasts"),
            ("forecasts", "demand_totals"),
            ("forecasts", "forecast_accuracy"),
            ("insights", "demand_drivers"),
            ("insights", "response_curves"),
            *(key for key in (LIFT, ADVICE, OUTCOMES) if graph.has(*key)),
            ("bronze", "ingest_ledger"),
        ],
        settings=[graph.settings.lake.as_of],
    )
    def report(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        content = report_content(context, lake, graph)
        path = report_path(graph.settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        page = render(content)
        path.with_name(f"report-{graph.cutoff_week()}.html").write_text(page, encoding="utf-8")
        path.write_text(page, encoding="utf-8")
        behind = path.with_name(analyst_name(graph.cutoff_week()))
        behind.write_text(render_analyst(content, lake.read("insights.response_curves")), encoding="utf-8")
        as_of = content.as_of
        rows = figures(content).with_columns(as_of=pl.lit(as_of).dt.cast_time_unit("us"))
        shown = {
            "report": dg.MetadataValue.url(path.as_uri()),
            "analyst": dg.MetadataValue.url(behind.as_uri()),
            "page_kilobytes": round(len(page.encode()) / 1000),
            "accuracy": dg.MetadataValue.md(accuracy_by_horizon(content.backtest)),
            "largest_series": dg.MetadataValue.md(
                largest_series_band(content.series, content.forecasts, content.method)
            ),
        }
        where = f"as_of = TIMESTAMP'{as_of:%Y-%m-%d %H:%M:%S}'"
        return materialise(
            context, lake, graph, graph.contract("insights", "report"), rows, where=where, metadata=shown
        )

    return [report]


def report_content(context: dg.AssetExecutionContext, lake: Lake, graph: Graph) -> ReportContent:
    """Everything that the page shows, read from the published tables and the newest checks."""
    issue = graph.cutoff_week()
    since = f"issue_week_start_date BETWEEN DATE'{issue - EARLIER_ISSUES}' AND DATE'{issue}'"
    issued = lake.read("forecasts.demand_forecasts", where=since)
    forecasts = issued.filter(pl.col("issue_week_start_date") == issue)
    earlier = issued.filter(pl.col("issue_week_start_date") < issue)
    totals = lake.read("forecasts.demand_totals", where=since)
    champion = _champion(changes(lake.read("models.champion_history")).tail(1), graph.settings)
    scored, backtest, compared = with_fallback(
        pl.read_parquet(evidence_path(graph.settings, newest_training_set(lake, graph)["training_set_id"])),
        lake.read("models.demand_backtest"),
        lake.read("models.demand_comparisons"),
        champion,
    )
    keys = forecasts.select("store_id", "product_group").unique()
    return ReportContent(
        as_of=graph.settings.as_of.astimezone(UTC),
        lake_name=graph.settings.lake.source,
        source_name=graph.mapping.title,
        source_notice=graph.mapping.notice,
        scope=Scope(tuple(sorted(keys["product_group"].unique())), keys["store_id"].n_unique(), keys.height),
        series=lake.read("gold.demand_series").join(keys, on=["store_id", "product_group"], how="semi"),
        forecasts=forecasts,
        earlier=earlier,
        totals=totals.filter(pl.col("issue_week_start_date") == issue),
        earlier_totals=totals.filter(pl.col("issue_week_start_date") < issue),
        tests=lake.read("models.totals_backtest"),
        plans=_plans(lake, [issue, *earlier["issue_week_start_date"].unique().sort().tail(1)]),
        scored=scored,
        comparisons=compared,
        drivers=lake.read("insights.demand_drivers", where=f"issue_week_start_date = DATE'{issue}'"),
        lift=_where_planned(lake, graph, LIFT, COLUMNS["lift"]),
        advice=_where_planned(lake, graph, ADVICE, COLUMNS["advice"], f"issue_week_start_date = DATE'{issue}'"),
        advice_outcomes=_where_planned(lake, graph, OUTCOMES, COLUMNS["advice_outcomes"]),
        backtest=backtest,
        accuracy=lake.read("forecasts.forecast_accuracy"),
        champion=champion,
        ledger=lake.read("bronze.ingest_ledger"),
        checks=check_frame(context, graph),
        freshness=freshness_frame(lake, graph),
        source_limits=(graph.mapping.notice,),
    )


def _plans(lake: Lake, issues: list[date]) -> pl.DataFrame:
    """What was planned for the target weeks of these issues, as their features knew it."""
    weeks = ", ".join(f"DATE'{week}'" for week in issues)
    features = lake.read(
        "gold.demand_features",
        columns=[*FEATURE_KEY, TARGET_WEEK, "display_products_target", "mailer_products_target"],
        where=f"week_start_date IN ({weeks})",
    )
    return features.select(
        pl.col("week_start_date").alias("issue_week_start_date"),
        *SERIES_KEY,
        TARGET_WEEK,
        planned_products=pl.col("display_products_target") + pl.col("mailer_products_target"),
    )


def with_fallback(
    scored: pl.DataFrame, backtest: pl.DataFrame, compared: pl.DataFrame, champion: Champion | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Scored rows, back-test and comparisons with the model's forecasts as the champion issues them.

    The tables are of the model alone; where the champion leaves groups to a simple rule they are made anew with the
    rule's rows there, since the page tests what is issued.
    """
    if champion is None or not champion.fallback:
        return scored, backtest, compared
    rows = as_issued(scored, champion.fallback)
    return rows, backtest_metrics(rows), comparisons(rows)


def _where_planned(
    lake: Lake, graph: Graph, key: tuple[str, str], columns: Sequence[str], where: str = "TRUE"
) -> pl.DataFrame:
    """A table that only lakes with promotion plans have, whole; where it is not there these columns without a row."""
    if graph.has(*key):
        return lake.read(".".join(key), where=where)
    return pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))


def _champion(row: pl.DataFrame, settings: Settings) -> Champion | None:
    if row.is_empty():
        return None
    version = row["model_version"][0]
    fallback = fallback_of(settings, version)
    return Champion(version, row["decided_as_of"][0], tuple(row["reasons"][0]), fallback=fallback)


def check_frame(context: dg.AssetExecutionContext, graph: Graph) -> pl.DataFrame:
    """The newest result of every contract check, a row per table."""
    keys = [dg.AssetCheckKey(dg.AssetKey(key), "contract") for key in graph.contracts]
    records = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    audits = []
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        evaluation = event.asset_check_evaluation_data
        found = {name: value.value for name, value in evaluation.metadata.items()}
        audits.append(_audit_row(".".join(key.asset_key.path), found, passed=evaluation.passed))
    return pl.DataFrame(audits, schema=CHECK_COLUMNS).sort("table_name")


def freshness_frame(lake: Lake, graph: Graph) -> pl.DataFrame:
    """How every published table stands against its SLA now; the report itself is not out yet."""
    others = [item for key, item in graph.contracts.items() if key != ("insights", "report")]
    existing = lake.existing([item.published_name for item in others])
    published = [item for item in others if item.published_name in existing]
    rows = [
        {
            "table_name": name,
            "newest_at": age.newest,
            "sla_days": age.allowed / timedelta(days=1),
            "is_fresh": age.is_fresh,
        }
        for name, age in table_ages(lake, published, graph.mapping).items()
    ]
    return pl.DataFrame(rows, schema=FRESHNESS_COLUMNS).sort("table_name")


def _audit_row(table: str, found: Mapping, *, passed: bool) -> dict[str, object]:
    rules = [rule for rule in found["rules"] if rule["outcome"] != "passed"]
    return {
        "table_name": table,
        "rules": len(found["rules"]),
        "failed": sum(rule["severity"] == "error" for rule in rules),
        "warned": sum(rule["severity"] == "warn" for rule in rules),
        "rows_audited": found["rows_audited"],
        "outcome": "passed" if passed else "failed",
    }
