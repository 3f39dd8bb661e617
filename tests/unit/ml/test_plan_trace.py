"""A plan is told from a report of what sold."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.plan_trace import trace_of_outcome

STORES, PRODUCTS, WEEKS = 40, 20, 12


def retailer(seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Half of the product weeks are planned for the chain (a store in 200 left out), and a plan triples sales."""
    random = np.random.default_rng(seed)
    store, product, week = (axis.ravel() for axis in np.indices((STORES, PRODUCTS, WEEKS)))
    wide = random.random((PRODUCTS, WEEKS)) < 0.5
    planned = wide[product, week] & (random.random(store.size) > 0.005)
    sold = random.random(store.size) < np.where(planned, 0.15, 0.05)
    frame = pl.DataFrame({"store_id": store, "product_id": product, "week": week})
    return frame.filter(pl.Series(planned)), frame.filter(pl.Series(sold))


def test_a_plan_that_raises_sales_is_clean() -> None:
    found = trace_of_outcome(*retailer(), chain_share=0.95)
    assert found.is_clean
    assert found.sold_share < 0.3


def test_rows_only_where_something_sold_are_found() -> None:
    plans, sales = retailer()
    reported = plans.join(sales, on=plans.columns, how="semi")
    assert trace_of_outcome(reported, sales, chain_share=0.0).sold_share == 1.0
    assert not trace_of_outcome(reported, sales, chain_share=0.0).is_clean


def test_rows_lost_where_nothing_sold_are_found() -> None:
    """A fifth of the plan rows without a sale is gone: most plans still lie where nothing sold, yet they tell."""
    plans, sales = retailer()
    kept = pl.concat([
        plans.join(sales, on=plans.columns, how="semi"),
        plans.join(sales, on=plans.columns, how="anti").sample(fraction=0.8, seed=3),
    ])  # fmt: skip
    found = trace_of_outcome(kept, sales, chain_share=0.6)
    assert found.sold_share < 0.5
    assert not found.is_clean


def test_too_few_cases_are_refused() -> None:
    plans, sales = retailer()
    with pytest.raises(BadFrame, match="cases"):
        trace_of_outcome(plans, sales.head(5))
    with pytest.raises(BadFrame, match="no plans"):
        trace_of_outcome(plans.head(0), sales)
