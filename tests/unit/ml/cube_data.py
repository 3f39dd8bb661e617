"""A small retailer with prices and one promotion, for the tests of the cube."""

from __future__ import annotations

import numpy as np
import polars as pl

from ml.cube import Cube, build_cube

WEEKS = list(range(100, 160))


def retailer(
    seed: int = 0, stores: int = 5, products: int = 3, *, elasticity: float = -2.0, noise: float = 0.2
) -> Cube:
    """log demand = level + elasticity * log price + 0.8 * ad + noise; a tenth of the rows missing."""
    return build_cube(*frames(seed, stores, products, elasticity=elasticity, noise=noise))


def frames(
    seed: int = 0, stores: int = 5, products: int = 3, *, elasticity: float = -2.0, noise: float = 0.2
) -> tuple[pl.DataFrame, list[int], tuple[str, ...], pl.DataFrame]:
    """The arguments of build_cube."""
    random = np.random.default_rng(seed)
    rows, prices = [], []
    for store in range(stores):
        for product in range(products):
            level = random.normal(6, 1)
            for week in WEEKS:
                price = 2.0 * (0.7 if random.random() < 0.2 else 1.0) * (1 + 0.05 * product)
                ad = float(random.random() < 0.15)
                units = np.exp(level + elasticity * np.log(price) + 0.8 * ad + random.normal(0, noise))
                prices.append((f"s{store}", f"p{product}", week, price))
                if random.random() < 0.9:
                    rows.append((f"s{store}", f"p{product}", week, float(np.ceil(units)), ad))
    key = {"store_id": pl.String, "product_group": pl.String, "week": pl.Int64}
    sold = pl.DataFrame(rows, schema={**key, "demand_units": pl.Float64, "ad": pl.Float64}, orient="row")
    return sold, WEEKS, ("ad",), pl.DataFrame(prices, schema={**key, "price": pl.Float64}, orient="row")
