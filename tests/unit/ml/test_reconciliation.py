"""Forecasts of a hierarchy add up after reconciliation, and the textbook projection is what the library computes."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.reconciliation import Hierarchy, build_hierarchy, incoherence, reconcile, unique_id

LEVELS = [["all"], ["all", "store"], ["all", "store", "group"]]
DAYS = [date(2017, 1, 2) + timedelta(weeks=week) for week in range(30)]


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    random = np.random.default_rng(1)
    rows = [
        {"all": "lake", "store": store, "group": group, "ds": day, "y": float(random.gamma(3, 4))}
        for store in ("a", "b", "c")
        for group in ("tea", "wine")
        for day in DAYS
    ]
    return build_hierarchy(pl.DataFrame(rows), LEVELS)


@pytest.fixture(scope="module")
def base(hierarchy: Hierarchy) -> pl.DataFrame:
    """Forecasts that do not add up: each series has an error of its own."""
    random = np.random.default_rng(2)
    last = hierarchy.series.filter(pl.col("ds").is_in(DAYS[-3:]))
    noise = pl.Series(random.normal(0, 2, last.height))
    return last.select("unique_id", "ds", point=pl.col("y") + noise)


@pytest.fixture(scope="module")
def fitted(hierarchy: Hierarchy) -> pl.DataFrame:
    random = np.random.default_rng(3)
    past = hierarchy.series.filter(~pl.col("ds").is_in(DAYS[-3:]))
    return past.with_columns(point=pl.col("y") + pl.Series(random.normal(0, 2, past.height)))


def test_levels_are_sums_of_their_parts(hierarchy: Hierarchy) -> None:
    assert {name: len(ids) for name, ids in hierarchy.levels.items()} == {
        "all": 1, "all/store": 3, "all/store/group": 6
    }  # fmt: skip
    total = hierarchy.series.filter(pl.col("unique_id") == "all=lake").sort("ds")["y"].to_numpy()
    parts = hierarchy.series.filter(pl.col("unique_id").is_in(hierarchy.levels["all/store/group"]))
    assert total == pytest.approx(parts.group_by("ds").agg(pl.col("y").sum()).sort("ds")["y"].to_numpy())


@pytest.mark.parametrize("method", ["bottom_up", "ols", "wls_struct", "mint_shrink"])
def test_reconciled_forecasts_add_up(method, hierarchy: Hierarchy, base: pl.DataFrame, fitted: pl.DataFrame) -> None:
    assert incoherence(base, hierarchy) > 0.1
    assert incoherence(reconcile(base, hierarchy, method, fitted), hierarchy) < 1e-6


@pytest.mark.parametrize("method", ["ols", "wls_struct"])
def test_the_textbook_projection_is_computed(method, hierarchy: Hierarchy, base: pl.DataFrame) -> None:
    """S (S' W^-1 S)^-1 S' W^-1, where W is the identity or holds the number of bottom series of each series."""
    names = hierarchy.summing["unique_id"].to_list()
    summing = hierarchy.summing.drop("unique_id").to_numpy().astype(float)
    weighted = summing.T if method == "ols" else summing.T / summing.sum(axis=1)
    wide = base.pivot(on="unique_id", index="ds", values="point").sort("ds").select(names).to_numpy()
    projection = summing @ np.linalg.solve(weighted @ summing, weighted)
    found = reconcile(base, hierarchy, method).pivot(on="unique_id", index="ds", values="point").sort("ds")
    np.testing.assert_allclose(found.select(names).to_numpy(), wide @ projection.T, atol=1e-8)


def test_labels_may_hold_any_character_and_repeat_at_another_level() -> None:
    """ALE at two levels, and pairs that a plain join by "/" would merge: (a/b, c) and (a, b/c)."""
    pairs = [("a/b", "c"), ("a", "b/c"), ("BEERS/ALES", "ALE"), ("ALE", "BEERS/ALES"), ("50%", "2F"), ("50%2F", "")]
    stores, groups = zip(*pairs, strict=True)
    rows = pl.DataFrame({"s": stores, "g": groups, "y": [2.0**place for place in range(len(pairs))]})
    rows = rows.with_columns(ds=pl.lit(DAYS[0]), all=pl.lit("x/y"))
    found = build_hierarchy(rows, [["all"], ["all", "s"], ["all", "g"], ["all", "s", "g"]])
    assert {name: len(ids) for name, ids in found.levels.items()} == {"all": 1, "all/s": 6, "all/g": 6, "all/s/g": 6}
    assert found.summing["unique_id"].is_unique().all()
    named = rows.select(unique_id(["all", "s", "g"]), "y")
    bottoms = named.join(found.series, on="unique_id")
    assert (bottoms["y"] == bottoms["y_right"]).all()
    assert bottoms.height == len(pairs)
    sums = found.summing.select(named["unique_id"].to_list()).to_numpy() @ named["y"].to_numpy()
    series = dict(found.series.select("unique_id", "y").iter_rows())
    assert [series[name] for name in found.summing["unique_id"]] == pytest.approx(sums.tolist())


def test_forecasts_that_add_up_stay_as_they_are(hierarchy: Hierarchy, fitted: pl.DataFrame) -> None:
    coherent = hierarchy.series.filter(pl.col("ds").is_in(DAYS[-3:])).rename({"y": "point"}).sort("unique_id", "ds")
    for method in ("ols", "wls_struct", "mint_shrink"):
        found = reconcile(coherent, hierarchy, method, fitted)
        np.testing.assert_allclose(found["point"].to_numpy(), coherent["point"].to_numpy(), atol=1e-6)


def test_what_cannot_be_reconciled_is_refused(hierarchy: Hierarchy, base: pl.DataFrame) -> None:
    with pytest.raises(BadFrame, match="no forecast"):
        reconcile(base.filter(pl.col("unique_id") != "all=lake"), hierarchy, "ols")
    with pytest.raises(BadFrame, match="fitted"):
        reconcile(base, hierarchy, "mint_shrink")
    with pytest.raises(BadFrame, match="one row per"):
        reconcile(pl.concat([base, base]), hierarchy, "ols")
    with pytest.raises(BadFrame, match="finite"):
        build_hierarchy(
            pl.DataFrame({"a": ["x"], "ds": [DAYS[0]], "y": [None]}, schema_overrides={"y": pl.Float64}), [["a"]]
        )
