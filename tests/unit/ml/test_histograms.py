"""Histograms: every row in one bin, additive over any split, the same in any order."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.frame_checks import BadFrame
from ml.histograms import HISTOGRAM_SCHEMA, Bins, bins_of, histograms, make_bins, merged

NUMBERS = st.one_of(st.none(), st.sampled_from([float("nan"), 0.0]), st.floats(-50, 50).map(lambda x: round(x, 1)))
TEXTS = st.one_of(st.none(), st.sampled_from(["tea", "coffee", "milk", "new"]))


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    size = draw(st.integers(1, 60))
    return pl.DataFrame(
        {
            "x": draw(st.lists(NUMBERS, min_size=size, max_size=size)),
            "text": draw(st.lists(TEXTS, min_size=size, max_size=size)),
            "week": draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)),
        },
        schema={"x": pl.Float64, "text": pl.String, "week": pl.Int64},
    )


def naive_bin(bins: Bins, value: object) -> int:
    if value is None or value != value:  # noqa: PLR0124  NaN
        return 0
    if bins.categories is not None:
        return bins.categories.index(str(value)) + 1 if value in bins.categories else bins.count - 1
    return 1 + sum(value > upper for upper in bins.uppers)  # type: ignore[operator]


@given(frames(), frames())
def test_every_row_is_in_the_bin_that_a_loop_finds(reference: pl.DataFrame, rows: pl.DataFrame) -> None:
    bins = make_bins(reference, ["x", "text"], bins=5)
    found = histograms(rows, bins, "week")
    for item in bins:
        wanted: dict[tuple[int, int], list[float]] = {}
        for week, value in rows.select("week", item.subject).iter_rows():
            wanted.setdefault((week, naive_bin(item, value)), []).append(value if isinstance(value, float) else 0.0)
        own = found.filter(pl.col("subject") == item.subject)
        counts = {(week, number): count for week, number, count in own.select("week", "bin", "row_count").iter_rows()}
        assert counts == {key: len(values) for key, values in wanted.items()}
        sums = {(week, number): total for week, number, total in own.select("week", "bin", "value_sum").iter_rows()}
        assert sums == pytest.approx({key: float(np.nansum(values)) for key, values in wanted.items()})


@given(frames(), st.integers(0, 60))
def test_parts_add_up_to_the_whole(rows: pl.DataFrame, cut: int) -> None:
    bins = make_bins(rows, ["x", "text"], bins=5)
    whole = histograms(rows, bins)
    parts = merged([histograms(rows.head(cut), bins), histograms(rows.slice(cut), bins)])
    assert parts.drop("value_sum").equals(whole.drop("value_sum"))
    assert parts["value_sum"].to_list() == pytest.approx(whole["value_sum"].to_list())
    assert merged([histograms(rows, bins, "week")]).drop("value_sum").equals(whole.drop("value_sum"))


@given(frames())
def test_the_histogram_of_the_reference_gives_its_bins_back(rows: pl.DataFrame) -> None:
    bins = make_bins(rows, ["x", "text"], bins=5)
    kept = {item.subject: item for item in bins_of(histograms(rows, bins))}
    for item in bins:
        values = rows[item.subject].drop_nulls()
        if values.len() and not (item.categories is None and values.is_nan().all()):
            assert kept[item.subject].uppers == item.uppers
            assert kept[item.subject].categories == item.categories
        assert list(kept[item.subject].place(rows[item.subject])) == list(item.place(rows[item.subject]))


def test_bins_hold_about_equally_many_and_frequent_values_stand_alone() -> None:
    random = np.random.default_rng(7)
    rows = pl.DataFrame({"x": np.where(random.random(4000) < 0.4, 0.0, random.lognormal(size=4000))})
    (bins,) = make_bins(rows, ["x"])
    assert len(bins.uppers) == len(set(bins.uppers))
    found = histograms(rows, [bins])
    assert found.filter(pl.col("upper") == 0.0)["row_count"].to_list() == [(rows["x"] == 0).sum()]
    others = found.filter(pl.col("upper") > 0)["row_count"]
    assert others.min() > 150  # type: ignore[operator]
    assert others.max() < 250  # type: ignore[operator]


def test_a_column_without_a_value_has_one_bin_to_speak_of() -> None:
    rows = pl.DataFrame({"x": [None, None]}, schema={"x": pl.Float64})
    (bins,) = make_bins(rows, ["x"])
    assert histograms(rows, [bins]).select("bin", "row_count").rows() == [(0, 2)]
    assert list(bins.place(pl.Series("x", [None, 4.0]))) == [0, 1]


def test_nothing_to_count_is_an_empty_histogram() -> None:
    rows = pl.DataFrame({"x": [1.0, 2.0], "week": [date(2017, 1, 2), date(2017, 1, 2) + timedelta(days=7)]})
    bins = make_bins(rows, ["x"])
    assert histograms(rows.clear(), bins, "week").is_empty()
    assert list(histograms(rows.clear(), bins).columns) == list(HISTOGRAM_SCHEMA)
    with pytest.raises(BadFrame):
        make_bins(rows.clear(), ["x"])
    with pytest.raises(BadFrame):
        histograms(rows, bins, "month")


def test_bins_of_something_else_than_a_reference_are_refused() -> None:
    rows = pl.DataFrame({"x": [float(number) for number in range(100)]})
    whole = histograms(rows, make_bins(rows, ["x"]))
    with pytest.raises(BadFrame, match="lacks bins"):
        bins_of(whole.filter(pl.col("bin") > 3))
