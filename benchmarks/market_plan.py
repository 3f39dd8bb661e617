"""Where a market's promotions are placed, and what each of them added in truth.

Belongs here: placement, with its confounding, and the effect of each promotion. Does not belong here: estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
import polars as pl

from benchmarks.market import Floats, Ints, Plan, World, empty_plan
from benchmarks.market_demand import Demand, expected_demand

Kind = Literal["display", "mailer", "price_cut"]
KINDS: tuple[Kind, ...] = ("display", "mailer", "price_cut")
PROMOTED, REST, OTHERS, AFTER, NET = "promoted", "rest_of_group", "other_groups", "following_weeks", "net"
_OFFER_WEEKS = 4


class Placed(NamedTuple):
    """One promotion.

    Attributes:
        event_id: counts from 1.
        kind: display and mailer come with a price cut in most cases; price_cut is nothing but one.
        group: index of its group; products: indices of its products, a whole line.
        first_week: index of the first week of each store, [store]; -1 where it is not planned.
        weeks: how many in each store.
        price_ratio: promoted over regular price.
        is_executed: whether it was done, [store].
    """

    event_id: int
    kind: Kind
    group: int
    products: Ints
    first_week: Ints
    weeks: int
    price_ratio: float
    is_executed: Floats


@dataclass(frozen=True)
class Offer:
    """A coupon on one product, sent to a share of each store's households, good for the weeks [first, last]."""

    offer_id: int
    product: int
    first_week: int
    last_week: int
    share: Floats


def place_promotions(world: World) -> list[Placed]:
    """Promotions in the stores and weeks that would sell more anyway, as far as `confounding` says.

    Stores are chosen by their size and by how strongly they follow the season, weeks by the season of the group. Two
    promotions of a group never run within each other's pull-forward; the last one's lies within the market.

    Raises:
        ValueError: the weeks do not hold the promotions.
    """
    settings = world.settings
    random = np.random.default_rng([world.seed, 3])
    after = len(settings.pull_forward_weeks)
    busy = settings.most_weeks + settings.staggered_weeks + after
    slot = (settings.weeks - settings.warm_up_weeks) // settings.promotions_per_group
    if slot < busy + settings.rest_weeks:
        raise ValueError(f"{settings.promotions_per_group} promotions a group need {busy} weeks each; raise weeks.")
    size = np.log(world.base.mean(axis=(1, 2)))
    pull = settings.confounding * (_z(size) + _z(world.season_loading)) / np.sqrt(2)
    placed: list[Placed] = []
    for group in range(settings.groups):
        for turn in range(settings.promotions_per_group):
            first = settings.warm_up_weeks + turn * slot
            starts = np.arange(first, first + slot - busy - settings.rest_weeks + 1)
            start = int(random.choice(starts, p=_softmax(2 * settings.confounding * _z(world.season[group, starts]))))
            placed.append(_one(world, random, len(placed) + 1, group, start, pull))
    return placed


def place_offers(world: World) -> list[Offer]:
    """One coupon per group, on one product, at any time after the warm-up."""
    settings = world.settings
    random = np.random.default_rng([world.seed, 4])
    last_start = max(settings.weeks - _OFFER_WEEKS, settings.warm_up_weeks + 1)
    offers = []
    for group in range(settings.groups):
        first = int(random.integers(settings.warm_up_weeks, last_start))
        last = min(first + _OFFER_WEEKS, settings.weeks) - 1
        product = int(random.choice(np.flatnonzero(world.group == group)))
        offers.append(Offer(group + 1, product, first, last, random.uniform(0.1, 0.5, settings.stores)))
    return offers


def make_plan(world: World, placed: list[Placed], offers: list[Offer]) -> Plan:
    """What is done in the stores: the promotions that were executed, and the offers."""
    plan = empty_plan(world)
    for event in placed:
        cells = during(event, executed=True)
        plan.price_ratio[cells] = event.price_ratio
        if event.kind == "display":
            plan.is_display[cells] = 1.0
        elif event.kind == "mailer":
            plan.is_mailer[cells] = 1.0
    for offer in offers:
        plan.offer_share[:, offer.product, offer.first_week : offer.last_week + 1] = offer.share[:, None]
    return plan


def during(event: Placed, *, executed: bool) -> tuple[Ints, Ints, Ints]:
    """Indices (store, product, week) of an event's cells: as planned, or as executed."""
    planned = (event.first_week >= 0) & ((event.is_executed > 0) | (not executed))
    stores = np.flatnonzero(planned)
    weeks = event.first_week[stores, None] + np.arange(event.weeks)[None, :]
    shape = (len(stores), len(event.products), event.weeks)
    columns = (stores[:, None, None], event.products[None, :, None], weeks[:, None, :])
    return cast("tuple[Ints, Ints, Ints]", tuple(np.broadcast_to(column, shape).ravel() for column in columns))


def truth(world: World, placed: list[Placed], offers: list[Offer]) -> pl.DataFrame:
    """What each event added: expected values with it less expected values without it, all else the same.

    Returns:
        One row per event_id and part: promoted (its products in its weeks), rest_of_group and other_groups (in its
        weeks), following_weeks (its group in all weeks after, store by store), net (their sum, which is all that it
        did). transactions: baskets, one per group that a basket holds; quantity_units; net_sales_usd; receipts: new
        trips to the store, on the row net alone; base_transactions: the part's baskets without the event.
    """
    whole = expected_demand(world, make_plan(world, placed, offers))
    rows = []
    for event in placed:
        others = [other for other in placed if other.event_id != event.event_id]
        without = expected_demand(world, make_plan(world, others, offers))
        rows += [{"event_id": event.event_id, **row} for row in _parts(world, event, whole, without)]
    return pl.DataFrame(rows)


def _parts(world: World, event: Placed, whole: Demand, without: Demand) -> list[dict[str, object]]:
    weeks = np.arange(world.settings.weeks)
    starts, ends = event.first_week[:, None], event.first_week[:, None] + event.weeks
    planned = starts >= 0
    now, later = planned & (weeks >= starts) & (weeks < ends), planned & (weeks >= ends)
    is_own = np.isin(np.arange(len(world.group)), event.products)
    in_group = world.group == event.group
    parts = {
        PROMOTED: (now, is_own),
        REST: (now, in_group & ~is_own),
        OTHERS: (now, ~in_group),
        AFTER: (later, in_group),
        NET: (planned & (weeks >= 0), np.ones_like(is_own)),
    }
    rows: list[dict[str, object]] = []
    for part, (store_weeks, products) in parts.items():
        cells = store_weeks[:, None, :] & products[None, :, None]
        rows.append(
            {
                "part": part,
                "transactions": float((whole.baskets - without.baskets)[cells].sum()),
                "quantity_units": float((whole.quantity_units - without.quantity_units)[cells].sum()),
                "net_sales_usd": float((whole.net_sales_usd - without.net_sales_usd)[cells].sum()),
                "receipts": float((whole.receipts - without.receipts).sum()) if part == NET else None,
                "base_transactions": float(without.baskets[cells].sum()),
            }
        )
    return rows


def _one(world: World, random: np.random.Generator, event_id: int, group: int, start: int, pull: Floats) -> Placed:
    settings = world.settings
    treated = max(round(settings.treated_share * settings.stores), 1)
    # Gumbel-top-k: a weighted choice without replacement.
    order = np.argsort(-(pull + random.gumbel(size=settings.stores)))
    first_week = np.full(settings.stores, -1)
    first_week[order[:treated]] = start + random.integers(0, settings.staggered_weeks + 1, treated)
    line = int(random.choice(np.unique(world.line[world.group == group])))
    kind = KINDS[int(random.integers(len(KINDS)))]
    has_cut = kind == "price_cut" or bool(random.random() < 0.7)
    depth = float(random.choice(settings.price_cut)) if has_cut else 0.0
    return Placed(
        event_id=event_id,
        kind=kind,
        group=group,
        products=np.flatnonzero(world.line == line),
        first_week=first_week,
        weeks=int(random.integers(1, settings.most_weeks + 1)),
        price_ratio=1.0 - depth,
        is_executed=(random.random(settings.stores) >= settings.unexecuted_share).astype(np.float64),
    )


def _z(values: Floats) -> Floats:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
