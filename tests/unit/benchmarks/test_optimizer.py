"""The benchmark of the optimizer: its oracle is exhaustive, its rival keeps the limits that it claims to keep."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from benchmarks.optimizer import Size, broken, exact, greedy, instance, large_limits
from ml.actions_limits import Limits
from ml.actions_optimizer import choose


def test_an_instance_is_of_its_size_and_seed() -> None:
    rows = instance(Size(3, 4, 2), 1)
    assert rows.height == 3 * 4 * 2 * 2
    assert rows.equals(instance(Size(3, 4, 2), 1))
    assert not rows["value"].equals(instance(Size(3, 4, 2), 2)["value"])


def test_brute_force_finds_the_planted_best() -> None:
    rows = instance(Size(1, 3, 1), 1).sort("store_id", "product_group", "kind").with_columns(
        value=pl.Series([5.0, 1.0, 4.0, 1.0, 3.0, 1.0]), assumed_cost_usd=2.0, is_exploration=False
    )  # fmt: skip
    assert exact(rows, Limits(100.0, 2)) == 9.0
    assert exact(rows, Limits(100.0, 2, min_actions={"mailer": 1})) == 6.0
    assert exact(rows, Limits(1.0, 2, min_actions={"mailer": 1})) is None


def test_every_limit_is_counted_when_it_is_broken() -> None:
    rows = instance(Size(2, 3, 2), 4).with_columns(assumed_cost_usd=1.0)
    limits = Limits(1000.0, 6, weeks_per_series=4, exploration_share=0.9)
    assert broken(rows, limits) == 1
    one = rows.unique(["store_id", "product_group", "target_week_start_date"], keep="first", maintain_order=True)
    assert broken(one, limits) == 0
    for change in (
        {"budget_usd": 3.0}, {"slots_per_store": 1}, {"weeks_per_series": 1}, {"max_actions": {"display": 1}},
        {"min_actions": {"mailer": 99}},
    ):  # fmt: skip
        assert broken(one, replace(limits, **change)) >= 1, change


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_greedy_keeps_the_limits_and_is_no_better_than_the_bound(share: float) -> None:
    rows = instance(Size(20, 6, 3), 2)
    limits = replace(large_limits(rows, share), min_actions={})
    found, best = greedy(rows, limits), choose(rows, limits)
    assert broken(found, limits) == broken(best.rows, limits) == 0
    assert 0 < float(found["value"].sum()) <= best.bound + 1e-9
