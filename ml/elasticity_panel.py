"""Panels from which responses are estimated: what was sold at what price, zeros included.

Belongs here: dense rows of store, product and week with a price each, and of store, product group and week with its
promotions. Does not belong here: estimates (ml.elasticity), reading tables.

A price is seen only where something sold, and demand answers where nothing does. Where the stores of a chain pay the
same price for a product in a week, that price holds for all of them. Elsewhere a store without a sale has the price of
those that last had the same price as it: stores of one price zone move together. Its last price alone would be too old
just when a new one keeps buyers away.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from ml.business_calendar import DAYS_PER_WEEK
from ml.frame_checks import WEEK, require_columns, require_unique

PAIR: tuple[str, ...] = ("store_id", "product_id")
SOLD_COLUMNS: tuple[str, ...] = (*PAIR, "product_group", WEEK, "transactions", "quantity_units", "sales_usd")
# A pair that sold in fewer weeks says nearly nothing. The fit is given each pair's total, so that choosing pairs by it
# does not choose their answer to a price.
LEAST_SOLD_WEEKS = 4
# Prices of one product and week are one where nine of ten stores pay it within a hundredth.
_SAME_PRICE, _CHAIN_SHARE = 0.01, 0.9
_CARRIED_WEEKS = 8
# Beyond a third or three times the usual price it is another pack or an error.
_WILDEST_RATIO = 3.0
_LAGS = (1, 2, 3)
_KINDS = ("display", "mailer")
# A store that sells nothing else in a week has a logarithm too.
_HALF = 0.5


def price_panel(sold: pl.DataFrame, promoted: pl.DataFrame, weeks: Sequence[date]) -> pl.DataFrame:
    """Every week of every store and product that sold in enough of them, with the price it had.

    Args:
        sold: SOLD_COLUMNS, one row per store, product and week with a sale; sales_usd: as paid at the shelf, before
            coupons.
        promoted: store_id, product_id, week_start_date, kind (display or mailer); rows may repeat.
        weeks: whole weeks that are over, in order.

    Returns:
        store_id, product_id, product_group, week_start_date, transactions DOUBLE, log_price (of the price over the
        pair's median price), display, mailer (1.0 or 0.0). Weeks before a product's first sale in any store or after
        its last are left out, and so are weeks whose price is not known.

    Raises:
        BadFrame: columns are missing or keys repeat.
    """
    require_columns(sold, SOLD_COLUMNS, "sold")
    require_columns(promoted, (*PAIR, WEEK, "kind"), "promoted")
    require_unique(sold, (*PAIR, WEEK), "sold")
    priced = sold.filter(
        pl.col(WEEK).is_in(list(weeks)), pl.col("quantity_units") > 0, pl.col("sales_usd") > 0
    ).with_columns(price=pl.col("sales_usd").cast(pl.Float64) / pl.col("quantity_units").cast(pl.Float64))
    by_week = priced.group_by("product_id", WEEK).agg(chain_price=pl.col("price").median())
    often = pl.len().over(PAIR) >= LEAST_SOLD_WEEKS
    pairs = priced.filter(often).select(*PAIR, "product_group").unique()
    life = priced.group_by("product_id").agg(_first=pl.col(WEEK).min(), _last=pl.col(WEEK).max())
    dense = (
        pairs.join(life, on="product_id")
        .join(pl.DataFrame({WEEK: sorted(weeks)}, schema={WEEK: pl.Date}), how="cross")
        .filter(pl.col(WEEK).is_between("_first", "_last"))
        .join(priced.select(*PAIR, WEEK, "transactions", "price"), on=[*PAIR, WEEK], how="left")
        .join(by_week, on=["product_id", WEEK], how="left")
        .join(_chain_priced(priced, by_week), on="product_group", how="left")
    )
    own = pl.coalesce("own_price", "chain_price")
    price = pl.when("is_chain_priced").then("chain_price").otherwise(own)
    usual = pl.col("_price").median().over(PAIR)
    flags = [_flag(promoted, kind) for kind in _KINDS]
    rows = _with_own_price(dense).with_columns(_price=price).with_columns(log_price=(pl.col("_price") / usual).log())
    for flag in flags:
        rows = rows.join(flag, on=[*PAIR, WEEK], how="left")
    return (
        rows.filter(pl.col("log_price").abs() <= np.log(_WILDEST_RATIO))
        .select(
            *PAIR,
            "product_group",
            WEEK,
            pl.col("transactions").fill_null(0).cast(pl.Float64),
            "log_price",
            pl.col(_KINDS).fill_null(0.0),
        )
        .sort(*PAIR, WEEK)
    )


def promotion_panel(series: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """Every whole week of every store and product group, with the promotions of it and of the three weeks before.

    Args:
        series: gold.demand_series up to the last week that is over.
        prices: `price_panel` of the same weeks.

    Returns:
        store_id, product_group, week_start_date, transactions DOUBLE, display, mailer (shares of the group's products),
        display_before, mailer_before (their means over the three weeks before), log_price (mean over the group's
        products in that store, each weighted by its sales in all stores and weeks; 0 where none is known) and
        log_elsewhere (of the store's transactions in all other groups, plus a half). Weeks without any plan in the
        lake, and the first three of a series, are left out.
    """
    key = ["store_id", "product_group", WEEK]
    require_columns(series, (*key, "transactions", "display_share", "mailer_share", "is_partial_week"), "series")
    weight = pl.col("transactions").sum().over("product_id")
    mean_price = (pl.col("log_price") * pl.col("_weight")).sum() / pl.col("_weight").sum()
    level = prices.with_columns(_weight=weight).group_by(key).agg(log_price=mean_price)
    elsewhere = pl.col("transactions").sum().over("store_id", WEEK) - pl.col("transactions")
    rows = (
        series.filter(~pl.col("is_partial_week"))
        .join(level, on=key, how="left")
        .select(
            *key,
            pl.col("transactions").cast(pl.Float64),
            display="display_share",
            mailer="mailer_share",
            log_price=pl.col("log_price").fill_null(0.0),
            log_elsewhere=(elsewhere + _HALF).log(),
        )
    )
    for lag in _LAGS:
        # By the calendar, so that a hole in a series is no week before.
        week = pl.col(WEEK) + pl.duration(days=DAYS_PER_WEEK * lag)
        earlier = [pl.col(kind).alias(f"_{kind}_{lag}") for kind in _KINDS]
        rows = rows.join(rows.select(*key[:2], week, *earlier), on=key, how="left")
    before = [
        pl.mean_horizontal([f"_{kind}_{lag}" for lag in _LAGS], ignore_nulls=False).alias(f"{kind}_before")
        for kind in _KINDS
    ]
    kept = ("transactions", *_KINDS, "display_before", "mailer_before", "log_price", "log_elsewhere")
    return rows.with_columns(before).select(*key, *kept).drop_nulls().sort(key)


def _chain_priced(priced: pl.DataFrame, by_week: pl.DataFrame) -> pl.DataFrame:
    """Per product group, whether its prices are those of the chain."""
    beside = priced.filter(pl.len().over("product_id", WEEK) > 1).join(by_week, on=["product_id", WEEK])
    is_same = (pl.col("price") / pl.col("chain_price")).log().abs() <= _SAME_PRICE
    return beside.group_by("product_group").agg(is_chain_priced=is_same.mean() >= _CHAIN_SHARE)


def _with_own_price(dense: pl.DataFrame) -> pl.DataFrame:
    """`own_price`, week by week: as paid, else what it costs where it cost the same the week before, else as before."""
    before = pl.DataFrame(schema={**dict.fromkeys(PAIR, pl.String), "_before": pl.Float64, "_age": pl.Int64})
    weeks = [dense.clear().with_columns(own_price=pl.lit(None, dtype=pl.Float64))]
    for week in dense.sort(WEEK).partition_by(WEEK, maintain_order=True):
        rows = week.join(before, on=PAIR, how="left").with_columns(_cents=(100 * pl.col("_before")).round())
        peers = pl.col("price").median().over("product_id", "_cents")
        peer_price = pl.when(pl.col("_cents").is_not_null()).then(peers)
        lasting = pl.when(pl.col("_age") < _CARRIED_WEEKS).then("_before")
        rows = rows.with_columns(
            own_price=pl.coalesce("price", peer_price, lasting),
            # A price that stores like it pay is as good as its own; one that only lasts grows old.
            _age=pl.when(pl.coalesce("price", peer_price).is_not_null()).then(0).otherwise(pl.col("_age") + 1),
        )
        before = rows.select(*PAIR, pl.col("own_price").alias("_before"), "_age").filter(
            pl.col("_before").is_not_null()
        )
        weeks.append(rows.drop("_before", "_age", "_cents"))
    return pl.concat(weeks)


def _flag(promoted: pl.DataFrame, kind: str) -> pl.DataFrame:
    return promoted.filter(pl.col("kind") == kind).select(*PAIR, WEEK).unique().with_columns(pl.lit(1.0).alias(kind))
