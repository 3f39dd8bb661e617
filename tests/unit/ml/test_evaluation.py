"""Metrics against loops, and no number where there is none."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from ml.evaluation import metrics, sliced_metrics
from ml.frame_checks import BadFrame


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    random = np.random.default_rng(5)
    middle = random.gamma(2.0, 2.0, size=200)
    return pl.DataFrame(
        {
            "horizon_weeks": random.integers(1, 4, size=200),
            "product_group": random.choice(["beer", "water"], size=200),
            "is_promotion": random.random(200) < 0.4,
            "actual": random.poisson(4.0, size=200).astype(float),
            "p10": middle * 0.5,
            "p50": middle,
            "p90": middle * 1.6,
        }
    )


def naive_metrics(rows: list[dict]) -> dict[str, float | None]:
    total = math.fsum(row["actual"] for row in rows)
    pinball = [
        max(level * (row["actual"] - row[name]), (level - 1) * (row["actual"] - row[name]))
        for row in rows
        for name, level in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))
    ]
    return {
        "row_count": len(rows),
        "actual_sum": total,
        "wape": 100 * math.fsum(abs(row["actual"] - row["p50"]) for row in rows) / total,
        "bias": 100 * (math.fsum(row["p50"] for row in rows) - total) / total,
        "pinball": math.fsum(pinball) / len(pinball),
        "coverage_80": sum(row["p10"] <= row["actual"] <= row["p90"] for row in rows) / len(rows),
        "interval_width": math.fsum(row["p90"] - row["p10"] for row in rows) / len(rows),
    }


def test_metrics_equal_loops_in_every_group(rows: pl.DataFrame) -> None:
    found = metrics(rows, ["horizon_weeks", "product_group"])
    groups: dict[tuple, list[dict]] = {}
    for row in rows.iter_rows(named=True):
        groups.setdefault((row["horizon_weeks"], row["product_group"]), []).append(row)
    assert found.select("horizon_weeks", "product_group").rows() == sorted(groups)
    for row in found.iter_rows(named=True):
        wanted = naive_metrics(groups[(row["horizon_weeks"], row["product_group"])])
        assert {name: row[name] for name in wanted} == pytest.approx(wanted)


def test_slices_may_overlap(rows: pl.DataFrame) -> None:
    slices = {"all": pl.lit(value=True), "promotion": pl.col("is_promotion")}
    found = sliced_metrics(rows, ["horizon_weeks"], slices, "product_group")
    counts = {
        (horizon, name): count for horizon, name, count in found.select("horizon_weeks", "slice", "row_count").rows()
    }
    for horizon in (1, 2, 3):
        assert counts[(horizon, "all")] == counts[(horizon, "beer")] + counts[(horizon, "water")]
        assert counts[(horizon, "promotion")] == rows.filter(pl.col("horizon_weeks") == horizon)["is_promotion"].sum()


def test_a_slice_named_like_a_group_is_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(BadFrame, match="names of slices"):
        sliced_metrics(rows, [], {"beer": pl.lit(value=True)}, "product_group")


def test_nothing_sold_has_no_percentage() -> None:
    row = {"actual": [0.0, 0.0], "p10": [0.0, 0.0], "p50": [1.0, 0.0], "p90": [2.0, 1.0]}
    found = metrics(pl.DataFrame(row)).row(0, named=True)
    assert found["wape"] is None
    assert found["bias"] is None
    assert found["pinball"] == pytest.approx((0.5 + 0.2 + 0.1) / 6)


def test_order_of_rows_does_not_change_a_bit(rows: pl.DataFrame) -> None:
    assert metrics(rows, ["product_group"]).equals(metrics(rows.reverse(), ["product_group"]))


def test_broken_values_are_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(BadFrame, match="no rows to score"):
        metrics(rows.clear())
    for broken in (None, float("nan"), float("inf")):
        with pytest.raises(BadFrame, match="200 scored rows hold null or non-finite"):
            metrics(rows.with_columns(p90=pl.lit(broken, dtype=pl.Float64)))
