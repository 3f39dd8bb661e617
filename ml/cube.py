"""Demand and plans as one array per column: store x product x week.

Belongs here: the array form of a retailer's weekly rows, and what stands in for a price or promotion that no row
states. Does not belong here: what is computed from it (ml.cube_features), the panel of the feature table (ml.panels).

Shapes: S stores, P products, W weeks. Demand is past-only; promotions and prices are plans that reach to the last week.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.frame_checks import BadFrame, require_columns, require_unique

Values = NDArray[np.float64]
CUBE_KEY = ("store_id", "product_group", "week")


@dataclass(frozen=True)
class Cube:
    """Weekly rows of a retailer as arrays.

    Attributes:
        stores, products, weeks: labels of the axes, ascending; weeks are consecutive.
        demand: (S, P, W) units; NaN where the source has no row. A week without a sale is 0 when the source says so.
        promotions: name to (S, P, W), finite; known up to the last week.
        log_price: (S, P, W), finite, or None when future prices are not planned.
    """

    stores: tuple[str, ...]
    products: tuple[str, ...]
    weeks: tuple[Hashable, ...]
    demand: Values
    promotions: Mapping[str, Values]
    log_price: Values | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, P, W)."""
        return len(self.stores), len(self.products), len(self.weeks)


def build_cube(
    rows: pl.DataFrame,
    weeks: Sequence[Hashable],
    promotions: Sequence[str],
    prices: pl.DataFrame | None = None,
) -> Cube:
    """The cube of a frame.

    A promotion that no row states is the mean over the stores of that product and week, and 0 in a week without any. A
    price that no row states is the store's last one, else the mean over the stores of that week, else over all weeks.

    Args:
        rows: one row per (store_id, product_group, week): demand_units (null where unknown, as in weeks to come) and
            the promotions.
        weeks: labels of consecutive weeks, ascending; each row's week is one of them.
        promotions: columns of plans.
        prices: one row per (store_id, product_group, week) with price > 0; None where prices are not planned.

    Raises:
        BadFrame: columns are missing, keys repeat, a week is unknown, demand is negative, or a price is not above 0.
    """
    require_columns(rows, (*CUBE_KEY, "demand_units", *promotions), "rows")
    require_unique(rows, CUBE_KEY, "rows")
    unknown = sorted(set(rows["week"]) - set(weeks))
    if unknown or not rows.height:
        raise BadFrame(f"The rows ({rows.height}) have weeks that are not covered: {unknown[:3]}.")
    if rows.select((pl.col("demand_units") < 0).any()).item():
        raise BadFrame(
            "demand_units holds values below 0: net returns against the week of the sale, or leave them out."
        )
    stores, products = sorted(set(rows["store_id"])), sorted(set(rows["product_group"]))
    axes = (stores, products, list(weeks))
    demand = _array(rows, "demand_units", axes)
    plans = {name: _planned(_array(rows, name, axes)) for name in promotions}
    log_price = None
    if prices is not None:
        require_columns(prices, (*CUBE_KEY, "price"), "prices")
        require_unique(prices, CUBE_KEY, "prices")
        if prices.filter((pl.col("price") <= 0) | pl.col("price").is_null()).height:
            raise BadFrame("prices holds values that are null or not above 0.")
        log_price = _priced(np.log(_array(prices, "price", axes)))
    return Cube(tuple(stores), tuple(products), tuple(weeks), demand, plans, log_price)


def mean_without_warning(values: Values, axis: int | tuple[int, ...]) -> Values:
    """nanmean; NaN where there is nothing to average."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis)


def _array(rows: pl.DataFrame, column: str, axes: tuple[Sequence[Hashable], ...]) -> Values:
    result = np.full(tuple(len(axis) for axis in axes), np.nan)
    known = rows.filter(pl.col("store_id").is_in(list(axes[0])) & pl.col("product_group").is_in(list(axes[1])))
    at = [
        known[name].replace_strict(list(axis), list(range(len(axis))), return_dtype=pl.Int64).to_numpy()
        for name, axis in zip(CUBE_KEY, axes, strict=True)
    ]
    result[tuple(at)] = known[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return result


def _planned(values: Values) -> Values:
    chain = np.nan_to_num(mean_without_warning(values, axis=0))
    return np.where(np.isnan(values), chain[np.newaxis], values)


def _priced(values: Values) -> Values:
    """Missing log prices filled from the past of the store, then from the other stores of the week, then overall."""
    filled = values.copy()
    for week in range(1, filled.shape[2]):
        is_missing = np.isnan(filled[:, :, week])
        filled[:, :, week][is_missing] = filled[:, :, week - 1][is_missing]
    chain = mean_without_warning(values, axis=0)
    filled = np.where(np.isnan(filled), chain[np.newaxis], filled)
    overall = mean_without_warning(values, axis=(0, 2))
    filled = np.where(np.isnan(filled), overall[np.newaxis, :, np.newaxis], filled)
    if not np.isfinite(filled).all():
        raise BadFrame("A product has no price in any store or week.")
    return filled
