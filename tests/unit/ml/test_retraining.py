"""A model made again is the same; one that is not names the part, and a set that is not names rows and columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.forecaster import CalibratedModel
from ml.frame_checks import BadFrame
from ml.packaging import content_hashes, model_version
from ml.retraining import differing_parts, differing_rows, fit_as_recorded
from ml.training import TrainConfig
from tests.unit.ml.prepared_data import SMALL, Prepared

SETS = st.dictionaries(st.integers(0, 6), st.tuples(st.integers(0, 2), st.none() | st.integers(0, 1)), max_size=6)


def fitted_on(rows: pl.DataFrame, prepared: Prepared, fallback: dict[str, str] | None = None) -> CalibratedModel:
    return fit_as_recorded(rows, prepared.folds[-1], "transactions", SMALL, fallback or {})


def test_ten_fits_are_one_model(prepared: Prepared, fitted: CalibratedModel) -> None:
    versions = {model_version(fitted_on(prepared.rows, prepared)) for _ in range(10)}
    assert versions == {model_version(fitted)}


def test_one_changed_outcome_is_another_model_and_its_part_is_named(
    prepared: Prepared, fitted: CalibratedModel
) -> None:
    known = prepared.rows.with_row_index("row").filter(prepared.folds[-1].is_training)["row"][0]
    is_changed = pl.int_range(pl.len()) == known
    changed = prepared.rows.with_columns(
        pl.when(is_changed).then(pl.col(name) + 50).otherwise(pl.col(name)).cast(prepared.rows.schema[name]).alias(name)
        for name in ("transactions", "actual")
    )
    other = fitted_on(changed, prepared)
    assert model_version(other) != model_version(fitted)
    assert differing_parts(other, content_hashes(fitted))
    key = ["store_id", "product_group", "week_start_date", "horizon_weeks"]
    assert differing_rows(prepared.rows, changed, key) == {"column actual": 1, "column transactions": 1}


def test_what_does_not_differ_is_not_named(prepared: Prepared, fitted: CalibratedModel) -> None:
    assert differing_parts(fitted, content_hashes(fitted)) == []
    seeded = fit_as_recorded(prepared.rows, prepared.folds[-1], "transactions", replace(SMALL, seed=1), {})
    assert "trees" in differing_parts(seeded, content_hashes(fitted))
    group = prepared.rows["product_group"][0]
    with_rule = fitted_on(prepared.rows, prepared, {group: "mean_8"})
    assert differing_parts(with_rule, content_hashes(fitted)) == ["groups that fall back to a baseline"]


def test_parameters_come_back_as_they_were() -> None:
    config = TrainConfig(half_life_weeks=26.0, quantiles=(0.05, 0.5, 0.95))
    assert TrainConfig.from_json(config.to_json()) == config
    assert TrainConfig.from_json('{"quantiles": [0.1, 0.5, 0.9]}') == TrainConfig()


@given(SETS, SETS)
def test_differences_are_those_of_a_loop(before: dict[int, Any], after: dict[int, Any]) -> None:
    def frame(rows: dict[int, Any]) -> pl.DataFrame:
        content = [(key, *values) for key, values in rows.items()]
        return pl.DataFrame(content, schema={"key": pl.Int64, "one": pl.Int64, "other": pl.Int64}, orient="row")

    shared = before.keys() & after.keys()
    wanted = {
        "rows_gone": len(before.keys() - after.keys()),
        "rows_new": len(after.keys() - before.keys()),
        "column one": sum(before[key][0] != after[key][0] for key in shared),
        "column other": sum(before[key][1] != after[key][1] for key in shared),
    }
    assert differing_rows(frame(before), frame(after), ["key"]) == {name: n for name, n in wanted.items() if n}


def test_a_column_of_one_side_differs_everywhere_and_a_repeated_key_is_refused() -> None:
    one = pl.DataFrame({"key": [1, 2], "kept": [1, 1], "gone": [1, 1]})
    assert differing_rows(one, one.drop("gone"), ["key"]) == {"column gone": 2}
    with pytest.raises(BadFrame, match="keys repeat"):
        differing_rows(one, pl.concat([one, one]), ["key"])
