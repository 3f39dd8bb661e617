"""What the lift of promotions is worth: markets with known truth, and markets without any effect.

Belongs here: the experiments and their figures. Does not belong here: the market (benchmarks.market*), the estimate
(ml.lift).

- lift: a seed is one market; its lift is the sum over its promotions of net incremental transactions.
- sparse, confounded: the same with half a basket a product, store and week; with promotions far likelier where more
  is sold anyway.
- placebo: markets in which no promotion does anything; a promotion is rejected where its p-value is below 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import polars as pl

from benchmarks.market import MarketSettings
from benchmarks.market_plan import NET
from benchmarks.market_tables import Market, group_weeks, make_market, product_weeks, promotions, store_weeks
from benchmarks.program import Options, Stopwatch, progress, result
from ml.business_calendar import UTC_INSTANT
from ml.frame_checks import WEEK
from ml.lift import promotion_lift
from ml.promotion_events import promotion_events

SETTINGS = MarketSettings()
SEEDS, PLACEBO_SEEDS, PLACEBOS = range(1, 101), range(1001, 1024), 200
LEVEL = 0.05
WORLDS = {
    "sparse": replace(SETTINGS, baskets=0.5, stores=100),
    "confounded": replace(SETTINGS, confounding=2.5, season_spread=0.6),
}
WORLD_SEEDS = range(1, 31)
_LEAD = timedelta(days=28)
_KEY = ("store_id", "product_group", "product_line", WEEK)


@dataclass(frozen=True)
class LiftInputs:
    """What `promotion_lift` takes, of a market; `names`: the market's event_id beside the ledger's (`ledger_id`)."""

    events: pl.DataFrame
    lines: pl.DataFrame
    groups: pl.DataFrame
    weeks: Sequence[date]
    names: pl.DataFrame


def bench_lift(options: Options) -> dict[str, Any]:
    """Bias, coverage and false alarms, of the markets whose seeds are the rounds asked for (default 1-100)."""
    watch = Stopwatch()
    seeds, found = _seeds(options.rounds), []
    for count, seed in enumerate(seeds, start=1):
        found.append(one_market(make_market(SETTINGS, seed)))
        if count % 10 == 0:
            progress(f"{count} markets in {watch.seconds():.0f} s")
    idle = replace(SETTINGS, has_effect=False)
    placebos = pl.concat([one_market(make_market(idle, seed)) for seed in PLACEBO_SEEDS])
    placebos = placebos.filter(pl.col("level") == "event").head(PLACEBOS)
    worlds = {name: _world(name) for name in WORLDS}
    size = {
        "markets": len(seeds),
        "markets_of_each_world": len(WORLD_SEEDS),
        "placebos": placebos.height,
        "stores": SETTINGS.stores,
        "weeks": SETTINGS.weeks,
    }
    metrics = recovered(pl.concat(found)) | false_alarms(placebos)
    return result("lift", size, metrics, watch.seconds(), rivals=worlds)


def _world(name: str) -> dict[str, float]:
    found = recovered(pl.concat([one_market(make_market(WORLDS[name], seed)) for seed in WORLD_SEEDS]))
    progress(f"world {name} done")
    kept = ("net_over_truth", "naive_over_truth", "coverage_of_90_percent_interval")
    return {f"{level}_{figure}": found[f"{level}_{figure}"] for level in ("all", "event") for figure in kept}


def _seeds(rounds: str | None) -> range:
    if rounds is None:
        return SEEDS
    first, _, last = rounds.partition("-")
    return range(int(first), int(last or first) + 1)


def recovered(rows: pl.DataFrame) -> dict[str, float]:
    """Bias and coverage of sums over a market's promotions (all) and of single ones (event); ratios to truth."""
    figures: dict[str, float] = {}
    for level in ("all", "event"):
        own = rows.filter(pl.col("level") == level)
        truth = pl.col("truth")
        inside = truth.is_between("incremental_transactions_lower", "incremental_transactions_upper")
        estimates = ("incremental_transactions", "synthetic_transactions", "naive_transactions")
        sums = own.select(*(pl.col(name).sum() / truth.sum() for name in estimates)).row(0)
        width = (pl.col("incremental_transactions_upper") - pl.col("incremental_transactions_lower")).mean()
        figures |= dict(
            zip((f"{level}_{name}_over_truth" for name in ("net", "synthetic", "naive")), sums, strict=True)
        )
        figures[f"{level}_coverage_of_90_percent_interval"] = own.select(inside.mean()).item()
        figures[f"{level}_interval_width_over_truth"] = own.select(width / truth.mean()).item()
        figures[f"{level}_rows"] = own.height
        figures |= {
            f"{level}_{name}": count for name, count in own["verdict"].value_counts().sort("verdict").iter_rows()
        }
    return figures


def false_alarms(rows: pl.DataFrame) -> dict[str, float]:
    """Shares of promotions without effect that are rejected at 5 %."""
    tests = {"lift": "p_value", "space_placebo": "space_placebo_p_value", "time_placebo": "time_placebo_p_value"}
    shares = {
        f"rejected_by_{name}": rows.select((pl.col(column) < LEVEL).mean()).item() for name, column in tests.items()
    }
    return {"placebos": rows.height, **shares}


def one_market(market: Market) -> pl.DataFrame:
    """The net rows of promotion_lift with truth, the true net transactions, of a market's promotions and their sum."""
    inputs = lift_inputs(market)
    table = promotion_lift(inputs.events, inputs.lines, inputs.groups, inputs.weeks)
    real = market.truth().filter(pl.col("part") == NET).select("event_id", truth="transactions")
    named = inputs.names.join(real, on="event_id").select("truth", event_id="ledger_id")
    rows = table.filter((pl.col("part") == NET) & (pl.col("level") != "group")).join(named, on="event_id", how="left")
    measured = rows.filter(pl.col("incremental_transactions").is_not_null())["truth"].sum()
    return rows.with_columns(pl.when(pl.col("level") == "all").then(measured).otherwise("truth").alias("truth"))


def lift_inputs(market: Market) -> LiftInputs:
    """The market's ledger and sums, as the lake would have them; price cuts are in the plans as well."""
    world = market.world
    panel = product_weeks(world, market.plan, market.sold)
    measures = ("transactions", "quantity_units", "net_sales_usd")
    given = ((pl.col("regular_price_usd") - pl.col("price_usd")) * pl.col("quantity_units")).sum()
    lines = panel.group_by(_KEY).agg(
        pl.col(measures).sum(), sales_amount_usd=pl.col("net_sales_usd").sum(), retail_discount_usd=given
    )
    planned = promotions(market).join(panel.select("product_id", "product_line").unique(), on="product_id")
    start = pl.col(WEEK).cast(UTC_INSTANT).first()
    plans = planned.group_by(*_KEY, "kind").agg(products=pl.len(), event_at=start, known_at=start - _LEAD)
    events = promotion_events(plans, lines, store_weeks(world, market.sold), world.week_starts)
    begins = planned.group_by("event_id", "product_line", "kind").agg(first_week_start_date=pl.col(WEEK).min())
    ledger = events.group_by("product_line", "kind", ledger_id="event_id").agg(pl.col("first_week_start_date").min())
    names = begins.join(ledger, on=["product_line", "kind", "first_week_start_date"])
    return LiftInputs(events, lines, group_weeks(panel), world.week_starts, names.select("event_id", "ledger_id"))
