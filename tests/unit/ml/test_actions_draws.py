"""The hold-out is random, repeatable, of the share asked for, and its propensities are what happens."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.actions_draws import HOLD_OUT, held_out, uniform, uniforms
from ml.actions_limits import Refused
from ml.frame_checks import BadFrame
from tests.unit.ml.action_data import WEEKS

KEY = ["target_week_start_date", "store_id", "product_group", "kind"]


def chosen(stores: int, groups: int = 2, *, explores: bool = False) -> pl.DataFrame:
    cells = product(WEEKS[:1], range(stores), (f"G{n}" for n in range(groups)))
    rows = [(week, f"S{store}", group, ("display", "mailer")[store % 2]) for week, store, group in cells]
    return pl.DataFrame(rows, schema=KEY, orient="row").with_columns(is_exploration=pl.lit(explores))


def test_a_draw_is_known_for_ever() -> None:
    assert uniform(1, "hold-out", "A", 2) == uniform(1, "hold-out", "A", 2) == 0.5796885347240581
    assert uniform(1, "hold-out", "A", 2) != uniform(2, "hold-out", "A", 2)
    assert uniform(1, "hold-out", "A", 2) != uniform(1, "exploration", "A", 2)


def test_draws_are_uniform_and_independent_of_each_other() -> None:
    rows = chosen(8000, 1)
    one, other = uniforms(rows, KEY, 1, "hold-out").to_numpy(), uniforms(rows, KEY, 1, "exploration").to_numpy()
    assert np.histogram(one, 10, (0, 1))[0].min() > 700
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


@given(st.integers(1, 40), st.floats(0, 0.95), st.integers(0, 1000))
def test_each_stratum_gives_its_share_and_the_propensity_is_its_rate(stores: int, share: float, seed: int) -> None:
    rows = held_out(chosen(stores), share, seed)
    assert rows.drop("cell", "propensity").equals(chosen(stores).sort(KEY))
    by = rows.group_by("product_group", "kind").agg(
        n=pl.len(), k=(pl.col("cell") == HOLD_OUT).sum(), p=pl.col("propensity").unique()
    )
    for n, k, p in by.select("n", "k", "p").iter_rows():
        assert k in (int(share * n), int(share * n) + 1)
        assert p == [pytest.approx(1 - k / n)]


@pytest.mark.parametrize(("share", "held"), [(0.1, 20), (0.7, 28), (0.0, 0)])
def test_of_what_is_tried_half_is_held_out(share: float, held: int) -> None:
    both = pl.concat([chosen(40, 1, explores=True), chosen(40, 1).with_columns(product_group=pl.lit("G9"))])
    rows = held_out(both, share, 3)
    assert rows.filter("is_exploration", pl.col("cell") == HOLD_OUT).height == held
    assert rows.filter(~pl.col("is_exploration"), pl.col("cell") == HOLD_OUT).height == round(40 * share)
    assert rows.filter("is_exploration")["propensity"].unique().to_list() == [1 - held / 40]


def test_the_share_is_met_on_average_in_strata_of_one() -> None:
    one = chosen(1, 50)
    rate = np.mean([(held_out(one, 0.2, seed)["cell"] == HOLD_OUT).mean() for seed in range(30)])
    assert rate == pytest.approx(0.2, abs=0.03)


def test_every_row_is_held_out_as_often_as_another() -> None:
    rows = pl.concat([held_out(chosen(10, 20), 0.3, seed) for seed in range(40)])
    rates = rows.group_by("store_id").agg((pl.col("cell") == HOLD_OUT).mean())["cell"]
    assert rates.min() > 0.24
    assert rates.max() < 0.36


def test_order_does_not_matter_and_wrong_rows_are_refused() -> None:
    rows = chosen(20)
    assert held_out(rows.sample(fraction=1.0, shuffle=True, seed=1), 0.2, 3).equals(held_out(rows, 0.2, 3))
    with pytest.raises(Refused, match="hold_out_share"):
        held_out(rows, 1.0, 3)
    with pytest.raises(BadFrame, match="keys repeat"):
        held_out(pl.concat([rows, rows]), 0.2, 3)
