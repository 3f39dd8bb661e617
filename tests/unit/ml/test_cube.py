"""The cube holds what the rows say, and what stands in for a missing plan follows the written rule."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ml.cube import build_cube
from ml.frame_checks import BadFrame
from tests.unit.ml.cube_data import frames


def test_every_row_is_where_its_labels_say() -> None:
    rows, weeks, promotions, prices = frames()
    cube = build_cube(rows, weeks, promotions, prices)
    for row in rows.sample(50, seed=1).iter_rows(named=True):
        at = cube.stores.index(row["store_id"]), cube.products.index(row["product_group"]), weeks.index(row["week"])
        assert cube.demand[at] == row["demand_units"]
        assert cube.promotions["ad"][at] == row["ad"]
    assert np.isfinite(cube.demand).sum() == rows.height


def test_missing_plans_are_filled_from_the_chain_and_from_the_past() -> None:
    key = {"store_id": ["a", "b", "a"], "product_group": ["p"] * 3, "week": [1, 1, 2]}
    rows = pl.DataFrame({**key, "demand_units": [1.0, 2.0, None], "ad": [1.0, None, 0.5]})
    prices = pl.DataFrame({"store_id": ["a", "b"], "product_group": ["p"] * 2, "week": [1, 2], "price": [2.0, 8.0]})
    cube = build_cube(rows, [1, 2, 3], ["ad"], prices)
    np.testing.assert_allclose(cube.promotions["ad"][:, 0], [[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]])
    assert cube.log_price is not None
    np.testing.assert_allclose(np.exp(cube.log_price[:, 0]), [[2.0, 2.0, 2.0], [2.0, 8.0, 8.0]])
    assert np.isnan(cube.demand[0, 0, 1])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"demand_units": pl.lit(-1.0)}, "below 0"),
        ({"week": pl.lit(999)}, "repeat"),
        ({"store_id": pl.lit("s0"), "product_group": pl.lit("p0")}, "repeat"),
    ],
)
def test_rows_that_make_no_cube_are_refused(change: dict[str, pl.Expr], sentence: str) -> None:
    rows, weeks, promotions, prices = frames()
    with pytest.raises(BadFrame, match=sentence):
        build_cube(rows.with_columns(**change), weeks, promotions, prices)


def test_weeks_outside_and_prices_of_nothing_are_refused() -> None:
    rows, weeks, promotions, prices = frames()
    with pytest.raises(BadFrame, match="not covered"):
        build_cube(rows, weeks[:-1], promotions, prices.filter(pl.col("week") < weeks[-1]))
    with pytest.raises(BadFrame, match="not above 0"):
        build_cube(rows, weeks, promotions, prices.with_columns(price=pl.lit(0.0)))
