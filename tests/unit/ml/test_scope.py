"""Which stores are busy enough, decided by the past alone."""

from __future__ import annotations

import polars as pl

from ml.scope import eligible_stores
from tests.unit.ml.demand_data import make_demand


def test_eligibility_equals_a_loop() -> None:
    demand = make_demand(seed=9, weeks=12, stores=5, groups=2, rate=1.5)
    least = 3.0
    wanted = []
    for position in (2, 7, 11):
        for store in sorted(set(demand.series["store_id"])):
            own = demand.series.filter(pl.col("store_id") == store, pl.col("week_start_date") <= demand.weeks[position])
            covered = position + 1 - demand.weeks.index(demand.series["week_start_date"].min())  # type: ignore[arg-type]
            if own.height and own["transactions"].sum() >= least * covered:
                wanted.append((store, demand.weeks[position]))
    found = eligible_stores(demand.series, [demand.weeks[position] for position in (2, 7, 11)], least)
    assert found.rows() == sorted(wanted)
    assert 0 < found.height < 15


def test_the_future_does_not_decide() -> None:
    demand = make_demand(seed=9, weeks=12, stores=5, groups=2, rate=1.5)
    cutoffs = demand.weeks[3:5]
    later = demand.series.with_columns(
        transactions=pl.when(pl.col("week_start_date") > cutoffs[-1]).then(1000).otherwise(pl.col("transactions"))
    )
    assert eligible_stores(later, cutoffs, 3.0).equals(eligible_stores(demand.series, cutoffs, 3.0))
