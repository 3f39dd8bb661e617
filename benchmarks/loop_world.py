"""A chain that can be acted on week by week: a market with known truth, its past promotions and what is done next.

Belongs here: from a market to what a planner sees of it (sales, forecasts, measured lift), and what an activity really
added. Does not belong here: who chooses the activities (benchmarks.loop), the market's law (benchmarks.market*).

An activity of a product group puts the group's first line on display, or into the mailer, in one store for one week,
at its regular price. Most promotions of the past came with a price cut: lift from the past is not that of the
activities, as it often is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import poisson

from assets.insights.actions import lift_sql
from benchmarks.lift import lift_inputs
from benchmarks.market import Floats, MarketSettings, Plan, World, make_world
from benchmarks.market_demand import Sold, basket_units, draw, expected_demand, shelf_price
from benchmarks.market_plan import make_plan, place_promotions
from benchmarks.market_tables import Market
from ml.actions_candidates import ARM_LIFT_SCHEMA
from ml.lift import promotion_lift

PAST_WEEKS, ROUNDS = 90, 12
# Groups that answer to activities little or much; pull-forward of the last round lies within the market.
SETTINGS = MarketSettings(
    groups=6, products_per_group=4, weeks=PAST_WEEKS + ROUNDS + 3, promotions_per_group=6, display_lift=(0.0, 0.9),
    mailer_lift=(0.0, 0.6),
)  # fmt: skip
BASE_WEEKS, LEAST_BASE_WEEKS, SALES_WEEKS = 8, 3, 13
_P90 = 1.2816
# Weekly counts vary somewhat more than Poisson's law says.
_DISPERSION = 1.3


@dataclass
class Chain:
    """One market under one policy.

    Attributes:
        world: the market.
        plan: what was done so far; rounds add to it.
        past: what was done before the first round.
        sold: baskets [store, product, week] up to the last week that is over.
        sales: product_group, net_sales_usd_per_transaction over the weeks before the first round.
    """

    world: World
    plan: Plan
    past: Plan
    sold: Floats
    sales: pl.DataFrame

    def copy(self) -> Chain:
        """The same chain with a plan of its own."""
        return replace(self, plan=Plan(*(part.copy() for part in self.plan)))

    @property
    def groups(self) -> list[NDArray[np.int64]]:
        return groups_of(self.world)

    def series(self) -> pl.DataFrame:
        """store_id, product_group, week_start_date, transactions, net_sales_usd of the rounds that are over."""
        weeks = slice(PAST_WEEKS, self.sold.shape[2])
        sold = self.sold[:, :, weeks]
        each = (basket_units(self.world, self.plan) * shelf_price(self.world, self.plan))[:, :, weeks]
        sales = self._frame(self._by_group(sold * each), PAST_WEEKS, "net_sales_usd")
        frame = self._frame(self._by_group(sold), PAST_WEEKS, "transactions")
        return frame.with_columns(pl.col("transactions").cast(pl.Int64), sales["net_sales_usd"])

    def forecasts(self, week: int) -> pl.DataFrame:
        """What a planner forecasts for a week: the mean of the last weeks without an activity."""
        window = slice(week - BASE_WEEKS, week)
        sold = self._by_group(self.sold[:, :, window])
        promoted = self.plan.is_display + self.plan.is_mailer + (self.plan.price_ratio < 1)
        idle = self._by_group(promoted[:, :, window]) == 0
        is_enough = idle.sum(axis=2, keepdims=True) >= LEAST_BASE_WEEKS
        weights = np.where(is_enough, idle, np.ones_like(idle)).astype(float)
        mean = (sold * weights).sum(axis=2) / weights.sum(axis=2)
        spread = _P90 * np.sqrt(_DISPERSION * mean)
        frame = self._frame(mean[:, :, None], week, "p50").rename({"week_start_date": "target_week_start_date"})
        return frame.with_columns(
            p10=pl.Series(np.maximum(mean - spread, 0).ravel()),
            p90=pl.Series((mean + spread).ravel()),
            model_version=pl.lit("mean_8"),
            data_version=pl.lit("market"),
        )

    def act(self, rows: pl.DataFrame, week: int) -> None:
        """Do the activities of rows (store_id, product_group, kind) in a week."""
        for store, group, kind in rows.select("store_id", "product_group", "kind").iter_rows():
            own = self.groups[self.world.group_names.index(group)]
            line = own[self.world.line[own] == self.world.line[own[0]]]
            cells = self.plan.is_display if kind == "display" else self.plan.is_mailer
            cells[self.world.store_ids.index(store), line, week] = 1.0
        # What is done in a week shows in that week and later alone, and luck is that of the market.
        demand = expected_demand(self.world, self.plan).baskets[:, :, week]
        luck = np.random.default_rng([self.world.seed, 2]).random(self.world.base.shape)[:, :, week]
        self.sold = np.concatenate([self.sold, poisson.ppf(luck, demand)[:, :, None]], axis=2)

    def without(self, week: int) -> Plan:
        """What was done, without the activities of a week and later."""
        pairs = zip(self.plan, self.past, strict=True)
        return Plan(*(np.concatenate([now[:, :, :week], then[:, :, week:]], axis=2) for now, then in pairs))

    def added_in_week(self, week: int) -> pl.DataFrame:
        """store_id, product_group, added: transactions that the week's activities add there in truth, and base: those
        without them.
        """
        plans = (self.plan, self.without(week))
        now, then = (self._by_group(expected_demand(self.world, plan).baskets) for plan in plans)
        frame = self._frame((now - then)[:, :, week : week + 1], week, "added")
        return frame.with_columns(base=pl.Series(then[:, :, week].ravel())).drop("week_start_date")

    def added_sales_usd(self) -> dict[str, float]:
        """What all activities of the rounds add in truth to the net sales of each product group, all weeks included."""
        now, then = (expected_demand(self.world, plan).net_sales_usd for plan in (self.plan, self.past))
        gain = (now - then).sum(axis=(0, 2))
        return {name: float(gain[own].sum()) for name, own in zip(self.world.group_names, self.groups, strict=True)}

    def week(self, index: int) -> date:
        return self.world.week_starts[index]

    def _by_group(self, values: Floats) -> Floats:
        return np.stack([values[:, own].sum(axis=1) for own in self.groups], axis=1)

    def _frame(self, values: Floats, first_week: int, name: str) -> pl.DataFrame:
        stores, groups, weeks = values.shape
        dates = self.world.week_starts[first_week : first_week + weeks]
        return pl.DataFrame({
            "store_id": np.repeat(self.world.store_ids, groups * weeks),
            "product_group": np.tile(np.repeat(self.world.group_names, weeks), stores),
            "week_start_date": pl.Series(dates * (stores * groups), dtype=pl.Date),
            name: values.ravel(),
        })  # fmt: skip


def make_chain(seed: int, settings: MarketSettings = SETTINGS) -> tuple[Chain, pl.DataFrame]:
    """A chain before its first round, and the lift that its past measured (ml.actions_candidates.ARM_LIFT_SCHEMA)."""
    world = make_world(settings, seed)
    past = _past_of(world)
    placed = place_promotions(past)
    plan = make_plan(world, placed, [])
    sold = draw(world, plan)
    market = Market(past, placed, [], _cut(plan), _cut_sold(sold))
    inputs = lift_inputs(market)
    measured = promotion_lift(inputs.events, inputs.lines, inputs.groups, inputs.weeks)
    database = duckdb.connect()
    database.register("promotion_lift", measured)
    lift = database.sql(lift_sql("promotion_lift")).pl().select(list(ARM_LIFT_SCHEMA))
    own = Plan(*(part.copy() for part in plan))
    return Chain(world, own, plan, market.sold.baskets.astype(float), _sales(world, market.sold)), lift


def groups_of(world: World) -> list[NDArray[np.int64]]:
    """Indices of the products of each group."""
    return [np.flatnonzero(world.group == index) for index in range(world.settings.groups)]


def _sales(world: World, sold: Sold) -> pl.DataFrame:
    rows = [
        (name, float(sold.net_sales_usd[:, own, -SALES_WEEKS:].sum() / sold.baskets[:, own, -SALES_WEEKS:].sum()))
        for name, own in zip(world.group_names, groups_of(world), strict=True)
    ]
    return pl.DataFrame(rows, schema=["product_group", "net_sales_usd_per_transaction"], orient="row")


def _past_of(world: World) -> World:
    cut: Mapping[str, Any] = {
        "settings": replace(world.settings, weeks=PAST_WEEKS),
        "week_starts": world.week_starts[:PAST_WEEKS],
        **{name: getattr(world, name)[..., :PAST_WEEKS] for name in ("base", "regular_price_usd", "traffic", "season")},
    }
    return world._replace(**cut)


def _cut(plan: Plan) -> Plan:
    return Plan(*(part[..., :PAST_WEEKS] for part in plan))


def _cut_sold(sold: Sold) -> Sold:
    return Sold(**{name: getattr(sold, name)[..., :PAST_WEEKS] for name in Sold.__dataclass_fields__})
