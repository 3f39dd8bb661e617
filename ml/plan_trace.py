"""Whether plans carry a trace of the outcome: rows that exist only where something sold.

Belongs here: the diagnostic on plans and sales. Does not belong here: what is done about it.

A promotion does raise sales, so that plans and sales of a week go together is no proof. Two things tell a plan from a
report. First, plans lie mostly where nothing sold. Second, where a product is planned for (nearly) the whole chain, a
store's row does not depend on the store's own sales: it is there as often when the store sold the product only in that
week as when it sold it only in the week before or after. A row that is written, or kept, because of a sale is there
more often in the first case. The few stores that a chain-wide plan leaves out sell less for want of it, which adds at
most their share to the difference: hence the high share of stores that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ml.frame_checks import BadFrame, require_columns

_KEY = ("store_id", "product_id", "week")
# 95 %, two-sided.
_REACH = 1.96
_LEAST_CASES = 30
_MOSTLY, _TOLERATED = 0.5, 0.01


@dataclass(frozen=True)
class Trace:
    """What was found.

    Attributes:
        sold_share: plan rows with a sale in their store, product and week, over all plan rows.
        presence_sold: share with a plan row among stores that sold a chain-wide planned product in that week alone.
        presence_beside: the same among stores that sold it only in the week before or only in the one after.
        difference, lower, upper: presence_sold less presence_beside, with its 95 % interval.
        cases_sold, cases_beside: stores, products and weeks behind them.
    """

    sold_share: float
    presence_sold: float
    presence_beside: float
    difference: float
    lower: float
    upper: float
    cases_sold: int
    cases_beside: int

    @property
    def is_clean(self) -> bool:
        """No plan row depends on a sale: rows without a sale abound, and presence differs by less than a point."""
        return self.sold_share < _MOSTLY and self.lower < _TOLERATED


def trace_of_outcome(plans: pl.DataFrame, sales: pl.DataFrame, chain_share: float = 0.95) -> Trace:
    """Compare the presence of plan rows between stores that sold in the planned week and beside it.

    Args:
        plans: one row or more per (store_id, product_id, week) with a promotion.
        sales: one row or more per (store_id, product_id, week) with a sale.
        chain_share: a product is planned for the chain in a week when so many of the stores with any plan have it.

    Raises:
        BadFrame: columns are missing, there are no plans, or fewer than 30 cases on either side.
    """
    require_columns(plans, _KEY, "plans")
    require_columns(sales, _KEY, "sales")
    planned, sold = plans.select(_KEY).unique(), sales.select(_KEY).unique()
    if not planned.height:
        raise BadFrame("There are no plans to look at.")
    stores = planned.group_by("week").agg(_stores=pl.col("store_id").n_unique())
    wide = (
        planned.group_by("product_id", "week")
        .len()
        .join(stores, on="week")
        .filter(pl.col("len") >= chain_share * pl.col("_stores"))
        .select("product_id", "week")
    )
    cases = pl.concat([_shifted(sold, back) for back in (-1, 0, 1)]).join(wide, on=["product_id", "week"])
    # A store without any plan in a week is not part of the plan: it may be closed or outside the promotion's region.
    cases = cases.join(planned.select("store_id", "week").unique(), on=["store_id", "week"], how="semi")
    alone = cases.group_by(_KEY).agg(pl.col("_back").first(), pl.len()).filter(pl.col("len") == 1)
    flagged = alone.join(planned.with_columns(_present=True), on=list(_KEY), how="left")
    present = pl.col("_present").fill_null(value=False)
    sold_now, beside = (flagged.filter(part).select(present).to_series() for part in (_NOW, ~_NOW))
    if min(len(sold_now), len(beside)) < _LEAST_CASES:
        raise BadFrame(f"{len(sold_now)} and {len(beside)} cases do not tell a plan from a report; give more weeks.")
    shares = [float(np.mean(side.to_numpy())) for side in (sold_now, beside)]
    spread = sum(share * (1 - share) / len(side) for share, side in zip(shares, (sold_now, beside), strict=True))
    presence_sold, presence_beside = shares
    difference, reach = presence_sold - presence_beside, _REACH * spread**0.5
    with_sale = planned.join(sold, on=list(_KEY), how="semi").height
    return Trace(
        with_sale / planned.height,
        presence_sold,
        presence_beside,
        difference,
        difference - reach,
        difference + reach,
        len(sold_now),
        len(beside),
    )


_NOW = pl.col("_back") == 0


def _shifted(sold: pl.DataFrame, back: int) -> pl.DataFrame:
    return sold.with_columns(pl.col("week") + back, pl.lit(back).alias("_back"))
