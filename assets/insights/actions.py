"""Insights: what to do next, and what became of what was approved.

Belongs here: which tables the advice and its outcomes are made from. Does not belong here: what is advised
(ml.actions), what was measured (ml.action_outcomes), decisions (cli.actions writes them).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.graph import Graph, materialise
from ml.action_assignments import standing
from ml.action_outcomes import OUTCOME_SCHEMA, outcomes
from ml.action_recalibration import recalibrated
from ml.actions import ISSUE_WEEK, NEXT_ACTION_SCHEMA, Advice, advise
from ml.actions_candidates import ARM_LIFT_SCHEMA, Z, candidates
from ml.actions_draws import HOLD_OUT, TREATED
from ml.actions_limits import KINDS, Limits, Refused
from ml.actions_optimizer import ARM, CELL, TARGET_WEEK
from ml.backtest import MODEL
from ml.baselines import SIMPLE_RULE
from ml.digest import canonical_digest
from resources.assignments import read_log
from resources.assumptions import assumptions_text, load_assumptions
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, WEEK

ML = PROJECT_ROOT / "ml"
FORECASTS, LIFT = ("forecasts", "demand_forecasts"), ("insights", "promotion_lift")
LOG = ("bronze", "action_assignments")
# What a transaction is worth is looked up in a quarter: prices and baskets change slowly.
SALES_WEEKS = 13
# Before anything is measured: what other weeks and groups lose or win is a part of the effect.
NET_SHARE_SD = 0.25
CODE = [*ML.glob("action*.py"), PROJECT_ROOT / "assets" / "insights" / "actions.py"]


def action_assets(graph: Graph) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assignment log, the outcomes and the advice; none where the source has no promotions."""
    if not graph.has("insights", "next_actions"):
        return []
    log = graph.side_table(*LOG, kinds={"deltalake"}, written_by=[])
    return [log, _outcomes(graph), _next_actions(graph)]


def _outcomes(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "insights",
        "action_outcomes",
        kinds={"polars", "deltalake"},
        code=CODE,
        deps=[LOG, ("gold", "demand_series")],
        settings=[graph.settings.lake.as_of],
        condition=weekly_after_close(),
    )
    def action_outcomes(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        lake.ensure_table(graph.contract(*LOG))
        log = read_log(lake, graph.contract(*LOG))
        columns = ["store_id", "product_group", "week_start_date", "transactions", "net_sales_usd"]
        series = lake.read("gold.demand_series", columns=columns, where="NOT is_partial_week")
        rows = outcomes(log, series, graph.cutoff_week())
        figures = {"entries": log.height, "measured": rows["measured_lift_percent"].count()}
        return materialise(context, lake, graph, graph.contract("insights", "action_outcomes"), rows, metadata=figures)

    return action_outcomes


def _next_actions(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        "insights",
        "next_actions",
        kinds={"polars", "deltalake"},
        code=CODE,
        deps=[
            FORECASTS,
            ("gold", "promotion_plans"),
            ("gold", "demand_series"),
            LIFT,
            ("insights", "action_outcomes"),
            LOG,
        ],
        settings=[graph.settings.lake.as_of, assumptions_text(graph.settings)],
        condition=weekly_after_close(),
    )
    def next_actions(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        issue = graph.cutoff_week()
        try:
            advice = plan_actions(lake, graph, issue)
            rows, figures = advice.rows, figures_of(advice)
        except Refused as error:
            # A lake without assumptions has forecasts and a report all the same; `liftlake actions` says what is wrong.
            context.log.warning("Nothing is advised: %s", error)
            rows, figures = pl.DataFrame(schema=NEXT_ACTION_SCHEMA), {"refused": str(error)}
        contract = graph.contract("insights", "next_actions")
        where = f"{ISSUE_WEEK} = DATE'{issue}'"
        return materialise(context, lake, graph, contract, rows, where=where, metadata=figures)

    return next_actions


def plan_actions(
    lake: Lake, graph: Graph, issue: date, budget_usd: float | None = None, slots: int | None = None
) -> Advice:
    """The advice of an issue week, by the limits of assumptions.yaml or others.

    Raises:
        Refused: an assumption, a forecast or every lift is missing, or the limits cannot be kept.
    """
    assumptions = load_assumptions(graph.settings)
    limits = other_limits(assumptions.limits, budget_usd, slots)
    forecasts = _forecasts(lake, issue)
    # What has begun cannot be decided about any more; a live lake is brought up some hours into the first week.
    targets = sorted(set(forecasts[TARGET_WEEK]) - begun(graph, forecasts[TARGET_WEEK].unique()))
    if not targets:
        raise Refused(f"All weeks that were forecast after the week of {issue} have begun: bring the lake up to date.")
    forecasts = forecasts.filter(pl.col(TARGET_WEEK).is_in(targets))
    lift = _lift(lake)
    rows = candidates(forecasts, _planned(lake, graph, targets), lift, _sales(lake, issue), assumptions)
    log = standing(read_log(lake, graph.contract(*LOG)))
    decided = log.filter((pl.col(ISSUE_WEEK) < issue) & pl.col(TARGET_WEEK).is_in(targets)).select(*CELL, "kind")
    version = canonical_digest(lift, ARM)
    return advise(rows, replace(assumptions, limits=limits), issue, version, decided)


def begun(graph: Graph, weeks: Iterable[date]) -> set[date]:
    """Those of some business weeks that have begun by the lake's clock."""
    return {week for week in weeks if graph.week_end(week - WEEK) < graph.settings.as_of}


def other_limits(limits: Limits, budget_usd: float | None, slots: int | None) -> Limits:
    """The limits with another budget or number of slots.

    Raises:
        Refused: such limits mean nothing.
    """
    changed = {"budget_usd": budget_usd, "slots_per_store": slots}
    return replace(limits, **{name: value for name, value in changed.items() if value is not None})


def figures_of(advice: Advice) -> dict[str, float]:
    """What is shown of an advice beside its rows."""
    mean, lower, upper = advice.expected()
    cells, costs = advice.rows["cell"], advice.rows["assumed_cost_usd"]
    return {
        "candidates": advice.candidate_count,
        "treated": int((cells == TREATED).sum()),
        "hold_out": int((cells == HOLD_OUT).sum()),
        "incremental_transactions": round(mean, 2),
        "incremental_transactions_lower": round(lower, 2),
        "incremental_transactions_upper": round(upper, 2),
        "assumed_cost_usd": float(costs.filter(cells == TREATED).sum()),
        "optimality_gap_percent": round(advice.gap_percent, 4),
    }


def _forecasts(lake: Lake, issue: date) -> pl.DataFrame:
    """The champion's forecasts of an issue week, or those of the simple rule while there is none."""
    issued = lake.read(".".join(FORECASTS), where=f"{ISSUE_WEEK} = DATE'{issue}'")
    if issued.is_empty():
        raise Refused(f"Nothing was forecast after the week of {issue}: say `liftlake run {'.'.join(FORECASTS)}`.")
    measure = issued["measure"][0]
    if measure != "transactions":
        raise Refused(f"Advice is about transactions, and this lake forecasts {measure}: set forecast.measure.")
    method = MODEL if MODEL in issued["method"] else SIMPLE_RULE
    return issued.filter(pl.col("method") == method).select(*CELL, "p10", "p50", "p90", "model_version", "data_version")


def _planned(lake: Lake, graph: Graph, targets: Sequence[date]) -> pl.DataFrame:
    """What is planned for the target weeks and could be known by now."""
    weeks = ", ".join(f"DATE'{week}'" for week in targets)
    known = f"known_at <= TIMESTAMP'{graph.settings.as_of:%Y-%m-%d %H:%M:%S}'"
    columns = ["store_id", "product_group", "week_start_date", "display_products", "mailer_products"]
    return lake.read("gold.promotion_plans", columns=columns, where=f"week_start_date IN ({weeks}) AND {known}")


def _sales(lake: Lake, issue: date) -> pl.DataFrame:
    return lake.query(sales_sql("gold.demand_series", issue))


def sales_sql(relation: str, issue: date) -> str:
    """Net sales per transaction of each product group over SALES_WEEKS, US dollars."""
    return f"""
        SELECT product_group,
               CAST(SUM(net_sales_usd) AS DOUBLE) / SUM(transactions) AS net_sales_usd_per_transaction
        FROM {relation}
        WHERE week_start_date BETWEEN DATE'{issue - (SALES_WEEKS - 1) * WEEK}' AND DATE'{issue}'
        GROUP BY product_group HAVING SUM(transactions) > 0
    """


def _lift(lake: Lake) -> pl.DataFrame:
    """The measured lift of each product group and kind, drawn by what hold-outs taught so far."""
    table = ".".join(LIFT)
    if not lake.exists(table):
        raise Refused(f"No lift was measured yet: say `liftlake run {table}`.")
    measured = lake.query(lift_sql(table)).select(list(ARM_LIFT_SCHEMA))
    if measured.is_empty():
        raise Refused("No lift of a display or mailer was measured: `liftlake lift` says why.")
    evidence = lake.read("insights.action_outcomes").select(list(OUTCOME_SCHEMA))
    return recalibrated(measured, evidence)


def lift_sql(relation: str) -> str:
    """ARM_LIFT_SCHEMA from insights.promotion_lift.

    In percent of what the group would have sold in the promoted stores and weeks: a promotion is of some products, and
    takes from the rest of its group; the intervals of both parts are put together as independent ones. Past promotions
    were at other prices than the advised activities: an added transaction is taken to bring what one of its group does,
    until hold-outs have measured it.

    The net share, following weeks and other groups included, is that of all arms together: one arm's is noise. What it
    differs by from 1 is kept as far as it was measured precisely (normal prior with a standard deviation of
    NET_SHARE_SD).
    """
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    in_week = "FILTER (WHERE part IN ('promoted', 'rest_of_group'))"
    elsewhere = "FILTER (WHERE part IN ('other_groups', 'following_weeks'))"
    added = "incremental_transactions"
    down, up = f"{added} - {added}_lower", f"{added}_upper - {added}"
    prior, shift = NET_SHARE_SD**2, "SUM(elsewhere) / SUM(added)"
    variance = "SUM(variance) / POWER(SUM(added), 2)"
    return f"""
        WITH arms AS (
            SELECT product_group, kind, SUM(expected_transactions) {in_week} AS base_transactions,
                   SUM({added}) {in_week} AS added,
                   SQRT(SUM(POWER({down}, 2)) {in_week}) AS down, SQRT(SUM(POWER({up}, 2)) {in_week}) AS up,
                   SUM({added}) {elsewhere} AS elsewhere,
                   SUM(POWER(({added}_upper - {added}_lower) / (2 * {Z}), 2)) {elsewhere} AS variance
            FROM {relation} WHERE level = 'group' AND kind IN ({kinds}) GROUP BY product_group, kind),
        known AS (
            SELECT * FROM arms
            WHERE base_transactions > 0 AND added + down + up + elsewhere + variance IS NOT NULL),
        shared AS (
            SELECT CASE WHEN SUM(added) > 0
                   THEN GREATEST(0.0E0, 1 + {shift} * {prior} / ({prior} + {variance})) ELSE 1.0E0 END AS net_share
            FROM known)
        SELECT product_group, kind, 100 * added / base_transactions AS lift_percent,
               100 * (added - down) / base_transactions AS lower, 100 * (added + up) / base_transactions AS upper,
               lift_percent AS sales_lift_percent, lower AS sales_lower, upper AS sales_upper,
               net_share, base_transactions
        FROM known CROSS JOIN shared ORDER BY product_group, kind
    """
