"""How well planted elasticities are recovered: a simulated market, seed after seed, through the product's own panels.

Belongs here: the panels of a market, what was planted in it, the score. Does not belong here: the market
(benchmarks.market), the estimates (ml.elasticity).

Products of a group differ in their elasticity, stores belong to two price zones, promotions lie where more is sold
anyway and borrow from later weeks and from neighbours. What is planted for a group is the mean elasticity of its
products, weighted by their baskets, and the log change of the group's expected baskets with one product line promoted
in all stores, at the share that the line is of the group.

Rival: the same Poisson regression with effects of store and product alone, which a season, a shock or a promotion
that lies in a good week passes for an answer to a price.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from benchmarks.market import MarketSettings, empty_plan
from benchmarks.market_demand import expected_demand
from benchmarks.market_tables import Market, elasticities, group_weeks, make_market, product_weeks
from benchmarks.program import Options, Stopwatch, progress, result
from ml.elasticity import Response, price_responses, promotion_responses
from ml.elasticity_fit import fit_poisson
from ml.elasticity_panel import price_panel, promotion_panel

SETTINGS = MarketSettings(stores=60, weeks=52)
SEEDS = "1-20"
# lever, planted, effect and its interval, the rival's effect.
Row = tuple[str, float, float | None, float | None, float | None, float | None]
ROW = {"lever": pl.String, **dict.fromkeys(("planted", "effect", "lower", "upper", "naive"), pl.Float64)}
WITHIN = 0.15
# A week in which nothing planted before has an aftermath: that of a plan without any other promotion.
_SHOWN_WEEK = 20


def bench_elasticity(options: Options) -> dict[str, Any]:
    """Errors and coverage over the seeds 1 to 20, or those of `--rounds`."""
    watch = Stopwatch()
    first, _, last = (options.rounds or SEEDS).partition("-")
    seeds = range(int(first), int(last or first) + 1)
    told: list[Row] = []
    for seed in seeds:
        told += _of_market(make_market(SETTINGS, seed))
        progress(f"seed {seed} of {seeds[-1]}")
    rows = pl.DataFrame(told, schema=ROW, orient="row")
    share = SETTINGS.products_per_line / SETTINGS.products_per_group
    configuration = {"seeds": f"{seeds[0]}-{seeds[-1]}", "stores": SETTINGS.stores, "weeks": SETTINGS.weeks}
    metrics = _price_metrics(rows.filter(pl.col("lever") == "price"))
    for lever in ("display", "mailer"):
        metrics |= _lift_metrics(rows.filter(pl.col("lever") == lever), lever, share)
    naive = rows.filter(pl.col("lever") == "price").with_columns(effect="naive")
    rivals = {"store_and_product_effects_alone": _errors(naive, "price")}
    return result("elasticity", configuration, metrics, watch.seconds(), rivals=rivals)


def _of_market(market: Market) -> list[Row]:
    """What was planted and what was found, per group and lever that was not refused."""
    prices, promotions = panels(market)
    truth = planted(market)
    rows = [_row(found, truth[found.product_group], _naive(prices, found)) for found in price_responses(prices)]
    told = [found for found in promotion_responses(promotions) if found.status != "refused"]
    return rows + [_row(found, planted_lift(market, found.product_group, found.lever), None) for found in told]


def _row(found: Response, truth: float, naive: float | None) -> Row:
    return found.lever, truth, found.effect, found.effect_lower, found.effect_upper, naive


def _naive(prices: pl.DataFrame, found: Response) -> float:
    part = prices.filter(pl.col("product_group") == found.product_group)
    pair, store = (part.select(pl.struct(key).rank("dense").cast(pl.Int64)).to_series().to_numpy() for key in
                   (("store_id", "product_id"), ("store_id",)))  # fmt: skip
    outcome, price = part["transactions"].to_numpy(), part.select("log_price").to_numpy()
    return float(fit_poisson(outcome, price, [pair], [store]).coefficients[0])


def _price_metrics(rows: pl.DataFrame) -> dict[str, float]:
    return {**_errors(rows, "price"), "price_coverage_95": _coverage(rows, 1.0), "price_groups": rows.height}


def _errors(rows: pl.DataFrame, name: str) -> dict[str, float]:
    """Relative errors in percent, and the share of groups within 15 % of what was planted."""
    miss = (rows["effect"] / rows["planted"] - 1.0).to_numpy()
    return {
        f"{name}_mean_error_percent": float(100 * miss.mean()),
        f"{name}_mean_absolute_error_percent": float(100 * np.abs(miss).mean()),
        f"{name}_within_15_percent": float((np.abs(miss) <= WITHIN).mean()),
    }


def _lift_metrics(rows: pl.DataFrame, lever: str, share: float) -> dict[str, float]:
    """Of a line's promotion: the planted log change of the group's baskets, and the mean error of it."""
    return {
        f"{lever}_planted": float(rows["planted"].mean() or 0.0),  # type: ignore[arg-type]
        f"{lever}_mean_error": float((rows["effect"] * share - rows["planted"]).mean() or 0.0),  # type: ignore[arg-type]
        f"{lever}_coverage_95": _coverage(rows, share),
        f"{lever}_groups": rows.height,
    }


def _coverage(rows: pl.DataFrame, share: float) -> float:
    held = pl.col("planted").is_between(pl.col("lower") * share, pl.col("upper") * share)
    return float(rows.select(held.mean()).item())


def panels(market: Market) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The price panel and the promotion panel of a market, from what a lake would know of it."""
    weeks = product_weeks(market.world, market.plan, market.sold)
    sold = weeks.filter(pl.col("quantity_units") > 0).with_columns(sales_usd=pl.col("net_sales_usd"))
    promoted = pl.concat(
        weeks.filter(f"is_{kind}").select("store_id", "product_id", "week_start_date", kind=pl.lit(kind))
        for kind in ("display", "mailer")
    )
    prices = price_panel(sold, promoted, market.world.week_starts)
    count = market.world.settings.products_per_group
    series = group_weeks(weeks).with_columns(
        display_share=pl.col("display_products") / count,
        mailer_share=pl.col("mailer_products") / count,
        is_partial_week=pl.lit(value=False),
    )
    return prices, promotion_panel(series, prices)


def planted(market: Market) -> dict[str, float]:
    """The mean elasticity of each group's products, weighted by their baskets."""
    weeks = product_weeks(market.world, market.plan, market.sold)
    baskets = weeks.group_by("product_id").agg(pl.col("transactions").sum())
    own = elasticities(market.world).join(baskets, on="product_id")
    weighted = (pl.col("price_elasticity") * pl.col("transactions")).sum() / pl.col("transactions").sum()
    return dict(own.group_by("product_group").agg(weighted).iter_rows())


def planted_lift(market: Market, group: str, lever: str) -> float:
    """Log change of a group's expected baskets with one of its lines promoted everywhere, mean over its lines."""
    world = market.world
    own = world.group == world.group_names.index(group)
    ratios = []
    for line in np.unique(world.line[own]):
        plan = empty_plan(world)
        shown = plan.is_display if lever == "display" else plan.is_mailer
        shown[:, world.line == line, _SHOWN_WEEK] = 1.0
        baskets = expected_demand(world, plan).baskets[:, own, _SHOWN_WEEK]
        ratios.append(baskets.sum() / world.base[:, own, _SHOWN_WEEK].sum())
    return float(np.log(np.mean(ratios)))
