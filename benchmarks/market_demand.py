"""What a plan sells: expected baskets, units and dollars, and one draw of them with the luck of the market's seed.

Belongs here: the law of demand. Does not belong here: a plan's choice, estimates.

A promotion multiplies the baskets of its products: price ratio to the power of the elasticity, times one plus the lift
of display, mailer and offer. Of the baskets gained, shares are missing in the weeks after, are taken from the rest of
the group and are added to other groups; each acts on the baskets of its victim as exp(-share), so that none falls below
zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import poisson

from benchmarks.market import Floats, Ints, Plan, World


@dataclass(frozen=True)
class Demand:
    """Expected values [store, product, week]: baskets, quantity_units, net_sales_usd; receipts [store, week]."""

    baskets: Floats
    quantity_units: Floats
    net_sales_usd: Floats
    receipts: Floats


@dataclass(frozen=True)
class Sold:
    """What one draw sold, as in Demand; price_usd: shelf price [store, product, week]."""

    baskets: Ints
    quantity_units: Ints
    net_sales_usd: Floats
    receipts: Ints
    price_usd: Floats


def expected_demand(world: World, plan: Plan) -> Demand:
    """What a plan sells on average, given the world's seasons and shocks."""
    settings = world.settings
    gain = world.base * (_own_factor(world, plan) - 1.0)
    if not settings.has_effect:
        gain = np.zeros_like(gain)
    in_group = (world.group[:, None] == world.group[None, :]).astype(np.float64)
    group_base = np.einsum("sjw,ij->siw", world.base, in_group)
    rest_of_group = np.maximum(group_base - world.base, 1e-9)
    taken = gain / rest_of_group
    taken_from = np.einsum("siw,ij->sjw", taken, in_group) - taken
    other_base = np.maximum(world.base.sum(axis=1, keepdims=True) - group_base, 1e-9)
    given = np.einsum("siw,ij->sjw", gain / other_base, 1.0 - in_group)
    borrowed = np.zeros_like(gain)
    for lag, share in enumerate(settings.pull_forward_weeks, start=1):
        borrowed[:, :, lag:] += settings.pull_forward * share * gain[:, :, :-lag]
    indirect = np.exp(
        settings.halo * given - settings.cannibalisation * taken_from - borrowed / world.base
    )  # fmt: skip
    baskets = (world.base + gain) * indirect
    units = baskets * basket_units(world, plan)
    more = settings.new_trips * (baskets - world.base).sum(axis=1)
    receipts = np.maximum(world.traffic + more, 0.0)
    return Demand(baskets, units, units * shelf_price(world, plan), receipts)


def draw(world: World, plan: Plan) -> Sold:
    """One draw; the same world has the same luck under every plan (common random numbers).

    A store has at least as many receipts as the group with most baskets.
    """
    demand = expected_demand(world, plan)
    random = np.random.default_rng([world.seed, 2])
    baskets = poisson.ppf(random.random(demand.baskets.shape), demand.baskets).astype(np.int64)
    extra = (basket_units(world, plan) - 1.0) * baskets
    units = baskets + poisson.ppf(random.random(extra.shape), extra).astype(np.int64)
    receipts = poisson.ppf(random.random(demand.receipts.shape), demand.receipts).astype(np.int64)
    groups = np.stack([baskets[:, world.group == index].sum(axis=1) for index in range(world.settings.groups)])
    price = shelf_price(world, plan)
    return Sold(baskets, units, np.round(units * price, 2), np.maximum(receipts, groups.max(axis=0)), price)


def shelf_price(world: World, plan: Plan) -> Floats:
    """US dollars, whole cents."""
    return np.round(world.regular_price_usd * plan.price_ratio, 2)


def basket_units(world: World, plan: Plan) -> Floats:
    """Mean units of a basket that holds the product, at least one."""
    elasticity = world.settings.units_elasticity if world.settings.has_effect else 0.0
    return 1.0 + (world.units[:, None] - 1.0) * plan.price_ratio**elasticity


def _own_factor(world: World, plan: Plan) -> Floats:
    return (
        plan.price_ratio ** world.elasticity[:, None]
        * (1.0 + world.display_lift[:, None] * plan.is_display)
        * (1.0 + world.mailer_lift[:, None] * plan.is_mailer)
        * (1.0 + world.offer_lift[:, None] * plan.offer_share)
    )
