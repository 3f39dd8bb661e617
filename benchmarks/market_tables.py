"""A market as tables: weekly panels, what was planned, what it answers to.

Belongs here: one seeded market from settings, and its arrays as frames. Does not belong here: receipts
(benchmarks.market_files).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.market import MarketSettings, Plan, World, make_world
from benchmarks.market_demand import Sold, draw
from benchmarks.market_plan import Offer, Placed, during, make_plan, place_offers, place_promotions, truth


@dataclass(frozen=True)
class Market:
    """One world, what was planned in it and what it sold."""

    world: World
    placed: list[Placed]
    offers: list[Offer]
    plan: Plan
    sold: Sold

    def truth(self) -> pl.DataFrame:
        """See `benchmarks.market_plan.truth`."""
        return truth(self.world, self.placed, self.offers)


def make_market(settings: MarketSettings, seed: int) -> Market:
    """A market; the same settings and seed give the same one."""
    world = make_world(settings, seed)
    placed, offers = place_promotions(world), place_offers(world)
    plan = make_plan(world, placed, offers)
    return Market(world, placed, offers, plan, draw(world, plan))


def product_weeks(world: World, plan: Plan, sold: Sold) -> pl.DataFrame:
    """One row per store_id, product_id and week_start_date: product_group, product_line, transactions (baskets that
    hold the product), quantity_units, net_sales_usd, price_usd, regular_price_usd, is_display, is_mailer, offer_share.
    """
    stores, products, weeks = world.base.shape
    names = np.array(world.group_names)[world.group]
    lines = [f"LINE {1 + line}" for line in world.line]
    frame = _keys(world.store_ids, products * weeks).with_columns(
        product_id=_tiled(world.product_ids, stores, weeks),
        product_group=_tiled(names.tolist(), stores, weeks),
        product_line=_tiled(lines, stores, weeks),
        week_start_date=pl.Series(world.week_starts * (stores * products), dtype=pl.Date),
    )
    return frame.with_columns(
        transactions=pl.Series(sold.baskets.ravel()),
        quantity_units=pl.Series(sold.quantity_units.ravel()),
        net_sales_usd=pl.Series(sold.net_sales_usd.ravel()),
        price_usd=pl.Series(sold.price_usd.ravel()),
        regular_price_usd=pl.Series(world.regular_price_usd.ravel()),
        is_display=pl.Series(plan.is_display.ravel() > 0),
        is_mailer=pl.Series(plan.is_mailer.ravel() > 0),
        offer_share=pl.Series(plan.offer_share.ravel()),
    )


def group_weeks(panel: pl.DataFrame) -> pl.DataFrame:
    """The same by store_id, product_group and week_start_date: transactions, quantity_units, net_sales_usd,
    display_products, mailer_products.
    """
    measures = ("transactions", "quantity_units", "net_sales_usd")
    key = ["store_id", "product_group", "week_start_date"]
    promoted = (pl.col(f"is_{kind}").sum().cast(pl.Int64).alias(f"{kind}_products") for kind in ("display", "mailer"))
    return panel.group_by(key).agg(pl.col(measures).sum(), *promoted).sort(key)


def store_weeks(world: World, sold: Sold) -> pl.DataFrame:
    """One row per store_id and week_start_date: transactions, all receipts of the store."""
    stores, weeks = sold.receipts.shape
    return _keys(world.store_ids, weeks).with_columns(
        week_start_date=pl.Series(world.week_starts * stores, dtype=pl.Date),
        transactions=pl.Series(sold.receipts.ravel()),
    )


def elasticities(world: World) -> pl.DataFrame:
    """What was planted, one row per product_id: product_group, price_elasticity of its baskets, units_elasticity of the
    units in one, and display_lift, mailer_lift, offer_lift as shares of its baskets.
    """
    return pl.DataFrame(
        {
            "product_id": world.product_ids,
            "product_group": np.array(world.group_names)[world.group].tolist(),
            "price_elasticity": world.elasticity,
            "units_elasticity": np.full(len(world.group), world.settings.units_elasticity),
            "display_lift": world.display_lift,
            "mailer_lift": world.mailer_lift,
            "offer_lift": world.offer_lift,
        }
    )


def promotions(market: Market) -> pl.DataFrame:
    """As planned, one row per event_id, store_id, product_id and week_start_date: product_group, kind, price_ratio,
    is_executed.
    """
    world, rows = market.world, []
    for event in market.placed:
        stores, products, weeks = during(event, executed=False)
        rows.append(
            pl.DataFrame(
                {
                    "event_id": np.full(len(stores), event.event_id),
                    "store_id": np.array(world.store_ids)[stores],
                    "product_id": np.array(world.product_ids)[products],
                    "week_start_date": np.array(world.week_starts, dtype="datetime64[D]")[weeks],
                    "product_group": [world.group_names[event.group]] * len(stores),
                    "kind": [event.kind] * len(stores),
                    "price_ratio": np.full(len(stores), event.price_ratio),
                    "is_executed": event.is_executed[stores] > 0,
                }
            )
        )
    return pl.concat(rows).sort("event_id", "store_id", "product_id", "week_start_date")


def _keys(store_ids: list[str], times: int) -> pl.DataFrame:
    return pl.DataFrame({"store_id": np.repeat(store_ids, times)})


def _tiled(labels: list[str], stores: int, weeks: int) -> pl.Series:
    return pl.Series(np.tile(np.repeat(labels, weeks), stores))
