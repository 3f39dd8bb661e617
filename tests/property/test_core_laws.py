"""Laws of the core that hold for any input: conservation, order, coverage, causality."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.digest import canonical_digest
from ml.intervals import apply, calibrate
from ml.splits import SeriesTooShort, rolling_origin
from tests.conftest import tries
from tests.unit.ml.demand_data import business_weeks, make_demand

FAST = settings(max_examples=tries(25, 400), deadline=None, derandomize=True)


@FAST
@given(seed=st.integers(0, 10_000), weeks=st.integers(1, 20))
def test_the_dense_series_keeps_every_basket_unit_and_cent(seed: int, weeks: int) -> None:
    demand = make_demand(seed=seed, weeks=weeks, stores=2, groups=2)
    columns = ["transactions", "quantity_units", "net_sales_usd", "gross_sales_usd"]
    assert demand.series.select(pl.col(columns).sum()).row(0) == demand.lines.select(pl.col(columns).sum()).row(0)
    lengths = demand.series.group_by("store_id", "product_group").agg(pl.len(), pl.col("week_start_date").min())
    for _, _, length, first in lengths.iter_rows():
        assert length == (demand.weeks[-1] - first).days // 7 + 1


@FAST
@given(
    weeks=st.integers(10, 80),
    folds=st.integers(1, 4),
    horizon=st.integers(1, 5),
    step=st.integers(1, 4),
    gap=st.integers(0, 3),
    calibration_weeks=st.integers(1, 6),
    train_step=st.integers(1, 3),
)
def test_no_fold_learns_what_was_not_known(
    weeks: int, folds: int, horizon: int, step: int, gap: int, calibration_weeks: int, train_step: int
) -> None:
    calendar = business_weeks(weeks)
    rows = pl.DataFrame(
        [(week, week + timedelta(days=7 * h)) for week in calendar for h in range(1, horizon + 1)],
        schema=["week_start_date", "target_week_start_date"],
        orient="row",
    )
    try:
        made = rolling_origin(
            calendar, folds, horizon, step, gap, calibration_weeks=calibration_weeks, min_train_cutoffs=2,
            train_step=train_step,
        )  # fmt: skip
    except SeriesTooShort:
        return
    latency = timedelta(days=7 * gap)
    assert len(made) == folds
    for fold in made:
        training, held_out = rows.filter(fold.is_training), rows.filter(fold.is_calibration)
        assert training["target_week_start_date"].max() + latency <= held_out["week_start_date"].min()  # type: ignore[operator]
        for part in (training, held_out, rows.filter(fold.is_known)):
            assert part.height
            assert part["target_week_start_date"].max() + latency <= fold.cutoff  # type: ignore[operator]


@FAST
@given(seed=st.integers(0, 10_000), rows=st.integers(60, 300), coverage=st.sampled_from([0.5, 0.8, 0.9]))
def test_calibrated_intervals_hold_their_own_rows_and_never_cross(seed: int, rows: int, coverage: float) -> None:
    random = np.random.default_rng(seed)
    quantiles = np.sort(random.normal(2.0, 2.0, size=(rows, 3)), axis=1)
    quantiles[:, 1] = np.clip(np.round(quantiles[:, 1]), 0, None)
    frame = pl.DataFrame(np.sort(quantiles, axis=1), schema=["p10", "p50", "p90"]).with_columns(
        horizon_weeks=pl.lit(1), actual=pl.Series(random.poisson(2.0, rows).astype(float))
    )
    found = apply(frame, calibrate(frame, coverage))
    values = found.select("p10", "p50", "p90").to_numpy()
    assert (values >= 0).all()
    assert (np.diff(values, axis=1) >= 0).all()
    is_held = found.select(pl.col("actual").is_between(pl.col("p10") - 1e-9, pl.col("p90") + 1e-9)).to_series()
    assert is_held.mean() >= coverage  # type: ignore[operator]


ROWS = st.lists(
    st.tuples(st.integers(-5, 5), st.one_of(st.none(), st.text(max_size=3)), st.one_of(st.none(), st.floats())),
    max_size=12,
)


@settings(max_examples=tries(40, 800), deadline=None, derandomize=True)
@given(rows=ROWS, random=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 12), max_size=3))
def test_the_digest_sees_content_only(rows: list, random: object, cuts: list[int]) -> None:
    schema = pa.schema({"key": pa.int64(), "text": pa.string(), "value": pa.float64()})
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [shuffled[start:stop] for start, stop in pairwise(bounds)]
    tables = [pa.table(dict(zip(schema.names, zip(*piece, strict=True), strict=True)) if piece else
                       {name: [] for name in schema.names}, schema=schema) for piece in (rows, *pieces)]  # fmt: skip
    whole, chunked = tables[0], pa.concat_tables(tables[1:])
    assert canonical_digest(whole, ["key"]) == canonical_digest(chunked, ["key"])
    if rows:
        assert canonical_digest(whole, ["key"]) != canonical_digest(whole.slice(1), ["key"])
