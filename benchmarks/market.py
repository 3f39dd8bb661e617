"""A market with known truth: what every promotion added, by the law that made the sales.

Belongs here: the market's settings, its world (what would sell without promotions) and its plan. Does not belong here:
what a plan sells (benchmarks.market_demand), where promotions are placed (benchmarks.market_plan), its files.

All arrays are indexed [store, product, week]. A basket holds at most one product of a group (purchase incidence, then
choice: Gupta 1988, Journal of Marketing Research 25), so that baskets of products sum to baskets of their group.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FIRST_WEEK = date(2016, 12, 26)
WEEKS_PER_YEAR = 52.0


@dataclass(frozen=True)
class MarketSettings:
    """The size of a market and the laws that it follows.

    Attributes:
        stores, groups, products_per_group, weeks, households_per_store: the size.
        baskets: a product's mean baskets a store and week, without promotions.
        products_per_line: products of one manufacturer and type, which are priced and promoted together.
        promotions_per_group, most_weeks: how often a group has one of its lines promoted, and for how many weeks at
            most.
        treated_share: share of the stores in a promotion; 1 is a promotion everywhere at once.
        staggered_weeks: the stores of a promotion begin up to so many weeks apart.
        rest_weeks: weeks between two promotions of a group, after the first one's pull-forward is over.
        warm_up_weeks: no promotion before.
        elasticity: range of the products' own price elasticities of baskets, both below zero.
        units_elasticity: price elasticity of the units in a basket.
        price_cut: depths of the price cuts.
        display_lift, mailer_lift, offer_lift: ranges of what each adds to a product's baskets, as a share.
        pull_forward: share of the gain that is missing afterwards, in as many weeks as `pull_forward_weeks` has shares.
        cannibalisation: share of the gain that the other products of the group lose.
        halo: share of the gain that the other groups win.
        new_trips: share of a net gain that are new trips to the store; the others are in baskets that come anyway.
        confounding: how much likelier a promotion is where and when more is sold anyway; 0 places them at random.
        season, season_spread: amplitude of a group's season on the log scale, and how stores differ in it (share).
        trend: growth a year on the log scale; stores differ in it by as much.
        store_shock, group_shock, shock_memory: standard deviations on the log scale of a store's weeks, of a group in
            a store's week, and the first one's autocorrelation.
        regular_price_steps: how often a year the regular price of a product changes.
        unexecuted_share: share of the planned store weeks in which nothing was done.
        has_effect: False plants no effect of any promotion, so that all that is found is chance.
    """

    stores: int = 60
    groups: int = 3
    products_per_group: int = 6
    products_per_line: int = 2
    weeks: int = 60
    households_per_store: int = 40
    baskets: float = 3.0
    promotions_per_group: int = 3
    most_weeks: int = 2
    treated_share: float = 0.4
    staggered_weeks: int = 1
    rest_weeks: int = 4
    warm_up_weeks: int = 12
    elasticity: tuple[float, float] = (-2.6, -1.4)
    units_elasticity: float = -0.3
    price_cut: tuple[float, ...] = (0.1, 0.2, 0.3)
    display_lift: tuple[float, float] = (0.3, 0.8)
    mailer_lift: tuple[float, float] = (0.15, 0.5)
    offer_lift: tuple[float, float] = (0.1, 0.4)
    pull_forward: float = 0.3
    pull_forward_weeks: tuple[float, ...] = (0.5, 0.3, 0.2)
    cannibalisation: float = 0.25
    halo: float = 0.1
    new_trips: float = 0.2
    confounding: float = 1.0
    season: float = 0.25
    season_spread: float = 0.4
    trend: float = 0.1
    store_shock: float = 0.08
    group_shock: float = 0.08
    shock_memory: float = 0.5
    regular_price_steps: float = 2.0
    unexecuted_share: float = 0.0
    has_effect: bool = True


class World(NamedTuple):
    """What would sell without any promotion, and how it answers to one.

    Attributes:
        settings, seed: of the market; `seed` also fixes the luck of every draw.
        store_ids, product_ids, week_starts: labels, ascending; ids are digits as in the demo's source.
        group, line: index of each product's group and line, [product]; a line lies in one group.
        base: expected baskets without promotions, [store, product, week].
        regular_price_usd: [store, product, week].
        traffic: expected receipts without promotions, [store, week].
        elasticity, display_lift, mailer_lift, offer_lift, units: of each product, [product]; units: mean units of a
            basket at the regular price.
        season: of each group, log scale, [group, week]; season_loading: of each store, [store].
    """

    settings: MarketSettings
    seed: int
    store_ids: list[str]
    product_ids: list[str]
    week_starts: list[date]
    group: Ints
    line: Ints
    base: Floats
    regular_price_usd: Floats
    traffic: Floats
    elasticity: Floats
    display_lift: Floats
    mailer_lift: Floats
    offer_lift: Floats
    units: Floats
    season: Floats
    season_loading: Floats

    @property
    def group_names(self) -> list[str]:
        return [f"GROUP {chr(ord('A') + index)}" for index in range(self.settings.groups)]


class Plan(NamedTuple):
    """What is done: is_display, is_mailer (1 or 0), price_ratio (promoted over regular price), offer_share (share of a
    store's households that hold an offer); all [store, product, week] as floats.
    """

    is_display: Floats
    is_mailer: Floats
    price_ratio: Floats
    offer_share: Floats


def empty_plan(world: World) -> Plan:
    """Nothing is promoted."""
    zeros = np.zeros_like(world.base)
    return Plan(zeros, zeros.copy(), np.ones_like(world.base), zeros.copy())


def make_world(settings: MarketSettings, seed: int) -> World:
    """Draw a world; the same seed and settings give the same one.

    Raises:
        ValueError: a size is not above zero, or an elasticity is not below it.
    """
    _require(settings)
    random = np.random.default_rng([seed, 1])
    products = settings.groups * settings.products_per_group
    group = np.repeat(np.arange(settings.groups), settings.products_per_group)
    elasticity = random.uniform(*settings.elasticity, products)
    regular = _regular_prices(settings, random)
    season = _seasons(settings, random)
    loading = np.maximum(1.0 + settings.season_spread * random.normal(size=settings.stores), 0.0)
    drift = settings.trend * (1.0 + random.normal(size=settings.stores))
    years = np.arange(settings.weeks) / WEEKS_PER_YEAR
    store_weeks = (
        0.4 * random.normal(size=settings.stores)[:, None]
        + drift[:, None] * years
        + _shocks(settings, random)
    )  # fmt: skip
    group_weeks = loading[:, None, None] * season + settings.group_shock * random.normal(
        size=(settings.stores, settings.groups, settings.weeks)
    )
    appeal = np.log(settings.baskets) + 0.4 * random.normal(size=products)
    taste = 0.2 * random.normal(size=(settings.stores, products))
    price = elasticity[:, None] * np.log(regular / regular[:, :, :1])
    base = np.exp(appeal[:, None] + taste[:, :, None] + store_weeks[:, None, :] + group_weeks[:, group, :] + price)
    traffic = 2.0 * settings.baskets * products * np.exp(store_weeks)
    return World(
        settings=settings,
        seed=seed,
        store_ids=[str(1001 + index) for index in range(settings.stores)],
        product_ids=[str(100_001 + index) for index in range(products)],
        week_starts=[FIRST_WEEK + timedelta(weeks=index) for index in range(settings.weeks)],
        group=group,
        line=group * settings.products_per_group
        + np.arange(products) % settings.products_per_group // settings.products_per_line,
        base=base,
        regular_price_usd=regular,
        traffic=traffic,
        elasticity=elasticity,
        display_lift=random.uniform(*settings.display_lift, products),
        mailer_lift=random.uniform(*settings.mailer_lift, products),
        offer_lift=random.uniform(*settings.offer_lift, products),
        units=1.0 + random.uniform(0.1, 0.8, products),
        season=season,
        season_loading=loading,
    )


def _require(settings: MarketSettings) -> None:
    products = (settings.products_per_group, settings.products_per_line)
    sizes = (settings.stores, settings.groups, *products, settings.weeks, settings.baskets)
    if min(sizes) <= 0:
        raise ValueError(f"A market needs stores, groups, products, weeks and baskets above zero; got {sizes}.")
    if max(settings.elasticity) >= 0:
        raise ValueError(f"Price elasticities lie below zero; got {settings.elasticity}.")


def _seasons(settings: MarketSettings, random: np.random.Generator) -> Floats:
    phase = random.uniform(0, 2 * np.pi, settings.groups)
    turns = 2 * np.pi * np.arange(settings.weeks) / WEEKS_PER_YEAR
    return settings.season * np.sin(turns + phase[:, None])


def _shocks(settings: MarketSettings, random: np.random.Generator) -> Floats:
    """Autoregressive of order one, stationary from the first week on."""
    memory = settings.shock_memory
    noise = random.normal(size=(settings.stores, settings.weeks))
    shocks = np.empty_like(noise)
    shocks[:, 0] = noise[:, 0]
    for week in range(1, settings.weeks):
        shocks[:, week] = memory * shocks[:, week - 1] + np.sqrt(1 - memory**2) * noise[:, week]
    return settings.store_shock * shocks


def _regular_prices(settings: MarketSettings, random: np.random.Generator) -> Floats:
    """US dollars, in steps of 3 to 10 % up or down; two zones of stores change theirs at different times."""
    products = settings.groups * settings.products_per_group
    level = random.uniform(1.5, 9.0, products)
    zones = np.arange(settings.stores) % 2
    moves = random.random((2, products, settings.weeks)) < settings.regular_price_steps / WEEKS_PER_YEAR
    steps = random.uniform(0.03, 0.1, moves.shape) * random.choice([-1.0, 1.0], moves.shape)
    path = np.clip(np.cumsum(np.where(moves, steps, 0.0), axis=2), -0.3, 0.3)
    return np.round(level[None, :, None] * np.exp(path), 2)[zones]
