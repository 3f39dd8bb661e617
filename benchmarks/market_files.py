"""A market as the files of the demo's source, so that it enters a lake through the same ingest.

Belongs here: receipts that sum to what was sold, and the lookup tables, in the source's own columns and types. Does not
belong here: the mapping (assets/bronze/sources/completejourney.yaml reads both).
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.market import Floats, Ints
from benchmarks.market_plan import during
from benchmarks.market_tables import Market

# Not of any group: what a receipt holds that has nothing else, and a third of the others hold too.
STAPLE, STAPLE_PRICE_USD, STAPLE_SHARE = 900_001, 3.49, 1 / 3
FIRST_BASKET, FIRST_COUPON = 50_000_000_000, 10_000_000_000
# Receipts lie between 10 and 18 o'clock in New York, in UTC as the source has them.
_OPENS, _OPEN_SECONDS = timedelta(hours=15), 8 * 3600
_DISPLAY, _MAILER, _NOT_PROMOTED = "7", "A", "0"


def write_market(market: Market, folder: Path) -> None:
    """Write transactions, promotions, products, demographics, campaign_descriptions, campaigns, coupons and
    coupon_redemptions as Parquet into `folder`.

    The receipts sum to `market.sold` exactly: baskets, units, and receipts of a store and week.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = receipt_lines(market)
    files = {
        "transactions": lines.drop("is_offer_used"),
        "promotions": _promotions(market),
        "products": _products(market),
        "demographics": _households(market),
        "campaign_descriptions": _campaigns(market),
        "campaigns": _exposures(market),
        "coupons": _coupons(market),
        "coupon_redemptions": _redemptions(market, lines),
    }
    for name, frame in files.items():
        frame.write_parquet(folder / f"{name}.parquet")


def receipt_lines(market: Market) -> pl.DataFrame:
    """The columns of transactions.parquet, and is_offer_used: the line used a coupon of the market's offer."""
    world, sold = market.world, market.sold
    random = np.random.default_rng([world.seed, 5])
    offsets = np.concatenate([[0], np.cumsum(sold.receipts.ravel())[:-1]]).reshape(sold.receipts.shape)
    store, product, week = np.nonzero(sold.baskets)
    counts = sold.baskets[store, product, week]
    receipt = _receipts_of_lines(market, offsets, random)
    quantity = _shares(sold.quantity_units[store, product, week], counts, random)
    lines = pl.DataFrame(
        {
            "receipt": receipt,
            "product": np.repeat(product, counts),
            "product_id": np.array(world.product_ids, dtype=np.int64)[np.repeat(product, counts)],
            "quantity": quantity,
            "price": np.repeat(sold.price_usd[store, product, week], counts),
            "regular": np.repeat(world.regular_price_usd[store, product, week], counts),
        }
    )
    total = int(sold.receipts.sum())
    is_empty = ~np.isin(np.arange(total), receipt)
    staples = np.flatnonzero(is_empty | (random.random(total) < STAPLE_SHARE))
    extra = pl.DataFrame({"receipt": staples}).with_columns(
        product=pl.lit(-1, pl.Int64), product_id=pl.lit(STAPLE, pl.Int64), quantity=pl.lit(1, pl.Int64),
        price=pl.lit(STAPLE_PRICE_USD), regular=pl.lit(STAPLE_PRICE_USD),
    )  # fmt: skip
    heads = _receipts(market, random)
    joined = pl.concat([lines, extra]).join(heads, on="receipt").sort("receipt", "product_id")
    return joined.with_columns(_is_offer_used(market, joined).alias("is_offer_used")).select(
        "household_id",
        "store_id",
        basket_id=pl.col("receipt") + FIRST_BASKET,
        product_id="product_id",
        quantity="quantity",
        sales_value=(pl.col("quantity") * pl.col("price")).round(2),
        retail_disc=(pl.col("quantity") * (pl.col("regular") - pl.col("price"))).round(2),
        coupon_disc=pl.when("is_offer_used").then(0.5).otherwise(0.0),
        coupon_match_disc=pl.lit(0.0),
        week=pl.col("week") + 1,
        transaction_timestamp="at",
        is_offer_used="is_offer_used",
    )


def _receipts_of_lines(market: Market, offsets: Ints, random: np.random.Generator) -> Ints:
    """A receipt for every line, in the order of np.nonzero: those of a group in a store and week are distinct."""
    world, baskets = market.world, market.sold.baskets
    starts = np.cumsum(baskets.ravel()).reshape(baskets.shape) - baskets
    found = np.empty(int(baskets.sum()), dtype=np.int64)
    for store, week in np.ndindex(*market.sold.receipts.shape):
        total = market.sold.receipts[store, week]
        for group in range(world.settings.groups):
            own = np.flatnonzero(world.group == group)
            chosen = random.permutation(total)[: baskets[store, own, week].sum()] + offsets[store, week]
            taken = 0
            for product in own:
                count, start = baskets[store, product, week], starts[store, product, week]
                found[start : start + count] = chosen[taken : taken + count]
                taken += count
    return found


def _shares(units: Ints, counts: Ints, random: np.random.Generator) -> Ints:
    """Units of each line: one, and what is left over goes to lines at random."""
    ends = np.cumsum(counts)
    quantity = np.ones(int(counts.sum()), dtype=np.int64)
    extra = units - counts
    lucky = np.repeat(ends - counts, extra) + random.integers(0, np.repeat(counts, extra))
    np.add.at(quantity, lucky, 1)
    return quantity


def _receipts(market: Market, random: np.random.Generator) -> pl.DataFrame:
    """receipt, household_id, store_id, week, at."""
    world, sold = market.world, market.sold
    counts = sold.receipts.ravel()
    store = np.repeat(np.repeat(np.arange(len(world.store_ids)), len(world.week_starts)), counts)
    week = np.repeat(np.tile(np.arange(len(world.week_starts)), len(world.store_ids)), counts)
    own = world.settings.households_per_store
    seconds = (
        week * 7 * 86_400 + random.integers(0, 7, len(week)) * 86_400 + random.integers(0, _OPEN_SECONDS, len(week))
    )
    first = np.datetime64(datetime.combine(world.week_starts[0], time()) + _OPENS, "s")
    return pl.DataFrame(
        {
            "receipt": np.arange(len(week)),
            "household_id": 1 + store * own + random.integers(0, own, len(week)),
            "store_id": np.array(world.store_ids, dtype=np.int64)[store],
            "store": store,
            "week": week,
            "at": (first + seconds.astype("timedelta64[s]")).astype("datetime64[ns]"),
        }
    )


def _is_offer_used(market: Market, lines: pl.DataFrame) -> pl.Series:
    """Lines of an offer's product, in its weeks, of a household that holds it."""
    used = pl.lit(value=False)
    own = market.world.settings.households_per_store
    for offer in market.offers:
        holds = (pl.col("household_id") - 1) % own < pl.Series(np.round(offer.share * own)).gather(lines["store"])
        in_time = pl.col("week").is_between(offer.first_week, offer.last_week)
        used = used | (holds & in_time & (pl.col("product") == offer.product))
    return lines.select(used.alias("used"))["used"]


def _promotions(market: Market) -> pl.DataFrame:
    """As planned: what was not done is in it too, a price cut alone is not, since the source has no place for it."""
    world = market.world
    shown, mailed = np.zeros_like(world.base), np.zeros_like(world.base)
    for event in market.placed:
        if event.kind in {"display", "mailer"}:
            (shown if event.kind == "display" else mailed)[during(event, executed=False)] = 1.0
    store, product, week = np.nonzero(shown + mailed)
    return pl.DataFrame(
        {
            "product_id": np.array(world.product_ids, dtype=np.int64)[product],
            "store_id": np.array(world.store_ids, dtype=np.int64)[store],
            "display_location": _codes(shown[store, product, week], _DISPLAY),
            "mailer_location": _codes(mailed[store, product, week], _MAILER),
            "week": week + 1,
        }
    )


def _codes(is_promoted: Floats, code: str) -> list[str]:
    return np.where(is_promoted > 0, code, _NOT_PROMOTED).tolist()


def _products(market: Market) -> pl.DataFrame:
    world = market.world
    names = [world.group_names[group] for group in world.group]
    count = len(names)
    return pl.DataFrame(
        {
            "product_id": [*map(int, world.product_ids), STAPLE],
            "manufacturer_id": [*(1 + world.line).tolist(), 99_999],
            "department": ["GROCERY"] * (count + 1),
            "brand": [*("National" if index % 3 else "Private" for index in range(count)), "Private"],
            "product_category": [*names, "STAPLES"],
            "product_type": [*(f"{name} TYPE" for name in names), "STAPLE TYPE"],
            "package_size": ["12 OZ"] * (count + 1),
        }
    )


def _households(market: Market) -> pl.DataFrame:
    settings = market.world.settings
    random = np.random.default_rng([market.world.seed, 6])
    count = settings.stores * settings.households_per_store

    def drawn(*choices: str) -> list[str]:
        return random.choice(list(choices), count).tolist()

    return pl.DataFrame(
        {
            "household_id": np.arange(1, count + 1),
            "age": drawn("19-24", "25-34", "35-44", "45-54", "55-64", "65+"),
            "income": drawn("Under 15K", "15-24K", "25-34K", "35-49K", "50-74K", "75-99K"),
            "home_ownership": drawn("Homeowner", "Renter"),
            "marital_status": drawn("Married", "Unmarried"),
            "household_size": drawn("1", "2", "3", "4", "5+"),
            "household_comp": drawn("1 Adult No Kids", "2 Adults No Kids", "2 Adults Kids"),
            "kids_count": drawn("0", "1", "2", "3+"),
        }
    )


def _campaigns(market: Market) -> pl.DataFrame:
    starts = market.world.week_starts
    days = [(starts[offer.first_week], starts[offer.last_week] + timedelta(days=6)) for offer in market.offers]
    return pl.DataFrame(
        {
            "campaign_id": [offer.offer_id for offer in market.offers],
            "campaign_type": ["Type B"] * len(market.offers),
            "start_date": [datetime.combine(first, time()) for first, _ in days],
            "end_date": [datetime.combine(last, time()) for _, last in days],
        }
    ).with_columns(pl.col("start_date", "end_date").cast(pl.Datetime("ns")))


def _exposures(market: Market) -> pl.DataFrame:
    """The first households of a store hold an offer, as many as its share says."""
    own = market.world.settings.households_per_store
    rows = [
        (offer.offer_id, 1 + store * own + index)
        for offer in market.offers
        for store, share in enumerate(offer.share)
        for index in range(round(float(share) * own))
    ]
    return pl.DataFrame(rows, schema={"campaign_id": pl.Int64, "household_id": pl.Int64}, orient="row")


def _coupons(market: Market) -> pl.DataFrame:
    products = np.array(market.world.product_ids, dtype=np.int64)
    return pl.DataFrame(
        {
            "coupon_upc": [FIRST_COUPON + offer.offer_id for offer in market.offers],
            "product_id": [int(products[offer.product]) for offer in market.offers],
            "campaign_id": [offer.offer_id for offer in market.offers],
        }
    )


def _redemptions(market: Market, lines: pl.DataFrame) -> pl.DataFrame:
    coupons = _coupons(market).select("product_id", "coupon_upc", "campaign_id")
    used = lines.filter("is_offer_used").join(coupons, on="product_id")
    day = pl.col("transaction_timestamp").dt.truncate("1d").alias("redemption_date")
    return used.select("household_id", "coupon_upc", "campaign_id", day).unique().sort(pl.all())
