"""The choice equals brute force on small instances, keeps every limit on any, and refuses what cannot be kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from itertools import product

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.actions_limits import Limits, Refused
from ml.actions_optimizer import CANDIDATE_KEY, Choice, choose
from ml.actions_solver import Program, solve
from ml.frame_checks import BadFrame
from tests.conftest import tries

MONDAY = date(2026, 1, 5)
Row = tuple[str, str, date, str, float, float, bool]


def frame(rows: list[Row]) -> pl.DataFrame:
    names = ["store_id", "product_group", "target_week_start_date", "kind", "value", "assumed_cost_usd"]
    types = [pl.String, pl.String, pl.Date, pl.String, pl.Float64, pl.Float64, pl.Boolean]
    return pl.DataFrame(rows, schema=dict(zip([*names, "is_exploration"], types, strict=True)), orient="row")


def keeps(rows: list[Row], limits: Limits) -> bool:
    """The limits in plain Python, costs in ten-thousandths."""
    costs = [(round(row[5] * 10_000), row[6]) for row in rows]
    budget = round(limits.budget_usd * 10_000)
    kinds = Counter(row[3] for row in rows)
    return (
        max(Counter(row[:3] for row in rows).values(), default=0) <= 1
        and max(Counter((row[0], row[2]) for row in rows).values(), default=0) <= limits.slots_per_store
        and max(Counter(row[:2] for row in rows).values(), default=0) <= limits.weeks_per_series
        and sum(cost for cost, _ in costs) <= budget
        and sum(cost for cost, explored in costs if explored) <= int(budget * limits.exploration_share)
        and all(kinds[kind] >= least for kind, least in limits.min_actions.items())
        and all(kinds[kind] <= most for kind, most in limits.max_actions.items())
    )


def brute_force(rows: list[Row], limits: Limits) -> float | None:
    """The best value over every subset; None when none keeps the limits."""
    chosen = (
        [row for row, taken in zip(rows, flags, strict=True) if taken] for flags in product((0, 1), repeat=len(rows))
    )
    values = [sum(row[4] for row in subset) for subset in chosen if keeps(subset, limits)]
    return max(values, default=None)


@st.composite
def instances(draw: st.DrawFn, most: int = 8) -> tuple[list[Row], Limits]:
    keys = st.tuples(
        st.sampled_from("AB"), st.sampled_from(["COLA", "TEA", "BEER"]),
        st.sampled_from([MONDAY, MONDAY + timedelta(7)]), st.sampled_from(["display", "mailer"]),
    )  # fmt: skip
    found = draw(st.lists(keys, unique=True, max_size=most))
    money = st.integers(0, 30_000).map(lambda ticks: ticks / 10_000)
    values = st.floats(-5, 20, allow_nan=False).map(lambda value: round(value, 3))
    rows = [(*key, draw(values), draw(money), draw(st.booleans())) for key in found]
    least = {kind: draw(st.integers(0, 2)) for kind in draw(st.sets(st.sampled_from(["display", "mailer"])))}
    most_of = {kind: least.get(kind, 0) + draw(st.integers(0, 3)) for kind in draw(st.sets(st.just("display")))}
    limits = Limits(
        draw(st.integers(1, 80_000)) / 10_000, draw(st.integers(1, 3)), draw(st.integers(1, 2)), least, most_of,
        exploration_share=draw(st.sampled_from([0.0, 0.1, 0.5, 0.9])),
    )  # fmt: skip
    return rows, limits


@given(instances())
@settings(max_examples=tries(40, 600), deadline=None)
def test_the_choice_is_the_best_of_all_and_what_has_none_is_refused(instance: tuple[list[Row], Limits]) -> None:
    rows, limits = instance
    best = brute_force(rows, limits)
    if best is None:
        with pytest.raises(Refused, match="No plan keeps all limits at once|are asked for"):
            choose(frame(rows), limits)
        return
    choice = choose(frame(rows), limits)
    assert keeps(choice.rows.select(frame([]).columns).rows(), limits)
    assert choice.value >= best - 0.01 * abs(best) - 1e-6
    assert choice.value <= best + 1e-6
    assert choice.bound >= best - 1e-6
    assert choice.gap_percent <= 0.011


@cache
def best_of_many(seed: int) -> Choice:
    return choose(*many(seed))


def many(seed: int) -> tuple[pl.DataFrame, Limits]:
    cells = [
        (f"S{store}", f"G{group}", MONDAY + timedelta(7 * week), kind)
        for store, group, week, kind in product(range(30), range(8), range(2), ("display", "mailer"))
    ]
    draw = pl.Series(range(len(cells))).hash(seed)
    part = [draw.shuffle(seed=seed + n).rank("ordinal") / len(cells) for n in range(3)]
    rows = frame([(*cell, 0.0, 0.0, False) for cell in cells]).with_columns(
        value=4 * part[0] - 1, assumed_cost_usd=(3 * part[1]).round(4), is_exploration=part[2] < 0.2
    )
    return rows, Limits(120.0, 3, 2, {"mailer": 40}, {"display": 60}, exploration_share=0.15)


def test_what_was_decided_takes_slots_and_weeks_and_is_not_chosen_again() -> None:
    rows: list[Row] = [
        (store, group, MONDAY + timedelta(week), "display", 5.0, 1.0, False)
        for store, group, week in product("AB", ("BEER", "COLA", "TEA"), (0, 7))
    ]
    limits = Limits(100.0, 2)
    assert choose(frame(rows), limits).rows.height == 6
    decided = frame(rows).select(frame([]).columns[:4])
    mine = decided.filter(pl.col("store_id") == "A", pl.col("target_week_start_date") == MONDAY)
    done = mine.head(1).with_columns(kind=pl.lit("mailer"))
    found = choose(frame(rows), limits, done).rows
    left = found.filter(pl.col("store_id") == "A")
    assert left.filter(pl.col("target_week_start_date") == MONDAY).height <= 1
    assert set(left["product_group"]) == {"COLA", "TEA"}
    idle = choose(frame(rows), limits, done.with_columns(kind=pl.lit("none"))).rows.filter(pl.col("store_id") == "A")
    assert idle.height == 3
    assert idle.join(done, on=frame([]).columns[:3], how="semi").is_empty()
    with pytest.raises(BadFrame, match="decided cells"):
        choose(frame(rows), limits, pl.concat([done, done]))


@pytest.mark.parametrize("core", [20, 10_000])
@pytest.mark.parametrize("seed", range(2))
def test_larger_plans_keep_every_limit_and_prove_their_gap(
    seed: int, core: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates, limits = many(seed)
    best = best_of_many(seed)
    monkeypatch.setattr("ml.actions_solver.CORE", core)
    choice = choose(candidates, limits)
    assert keeps(choice.rows.select(frame([]).columns).rows(), limits)
    assert choice.rows.height > 50
    assert 0 <= choice.gap_percent <= 0.011
    assert choice.value <= best.bound + 1e-9
    assert best.value <= choice.bound + 1e-9


@given(instances())
@settings(max_examples=tries(20, 200), deadline=None)
def test_the_core_refuses_what_the_whole_refuses(instance: tuple[list[Row], Limits]) -> None:
    rows, limits = instance
    best = brute_force(rows, limits)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ml.actions_solver.CORE", 2)
        if best is None:
            with pytest.raises(Refused):
                choose(frame(rows), limits)
            return
        choice = choose(frame(rows), limits)
    assert keeps(choice.rows.select(frame([]).columns).rows(), limits)
    assert choice.value == pytest.approx(best, rel=2e-4, abs=1e-6)
    assert choice.bound >= best - 1e-6


def test_the_order_of_the_candidates_does_not_matter() -> None:
    candidates, limits = many(1)
    again = choose(candidates.sample(fraction=1.0, shuffle=True, seed=5), limits)
    assert again.rows.equals(best_of_many(1).rows)
    assert again.rows.equals(again.rows.sort(CANDIDATE_KEY))


def test_what_the_solver_tolerates_breaks_no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    def tolerant(program: Program) -> object:
        return solve(replace(program, upper=program.upper * 1.01))

    rows: list[Row] = [(f"S{n}", "COLA", MONDAY, "display", 1 + n / 7, 9.0001 + n / 50, n % 3 == 0) for n in range(40)]
    limits = Limits(200.0, 1, exploration_share=0.3)
    monkeypatch.setattr("ml.actions_optimizer.solve", tolerant)
    choice = choose(frame(rows), limits)
    assert keeps(choice.rows.select(frame([]).columns).rows(), limits)
    assert choice.rows.height > 10


ONE: list[Row] = [("A", "COLA", MONDAY, "display", 5.0, 2.0, False)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"budget_usd": 0.0}, "budget_usd must be an amount above 0, not 0.0"),
        ({"budget_usd": -5.0}, "budget_usd must be an amount above 0, not -5.0"),
        ({"budget_usd": float("nan")}, "budget_usd"),
        ({"slots_per_store": 0}, "slots_per_store must be at least 1"),
        ({"weeks_per_series": 0}, "weeks_per_series must be at least 1"),
        ({"exploration_share": 1.0}, "exploration_share"),
        ({"hold_out_share": -0.1}, "hold_out_share"),
        ({"maximise": "fame"}, "maximise must be one of"),
        ({"min_actions": {"radio": 1}}, "no activity of the kind 'radio'"),
        ({"min_actions": {"display": -1}}, "min_actions of display"),
        ({"min_actions": {"display": 3}, "max_actions": {"display": 2}}, "no number is both"),
    ],
)
def test_limits_that_mean_nothing_are_refused_by_name(change: dict, named: str) -> None:
    with pytest.raises(Refused, match=named):
        Limits(**({"budget_usd": 10.0, "slots_per_store": 2} | change))


def test_limits_that_contradict_each_other_are_named() -> None:
    rows: list[Row] = [(store, "COLA", MONDAY, "display", 5.0, 2.0, False) for store in "ABC"]
    with pytest.raises(Refused, match=r"Change one of: budget_usd 3\.00; min_actions 2"):
        choose(frame(rows), Limits(3.0, 1, min_actions={"display": 2}))
    with pytest.raises(Refused, match="At least 4 activities of the kind display are asked for, and 3 are possible"):
        choose(frame(rows), Limits(30.0, 1, min_actions={"display": 4}))


def test_bad_candidates_are_refused() -> None:
    limits = Limits(10.0, 2)
    with pytest.raises(BadFrame, match="1 keys repeat"):
        choose(frame([*ONE, *ONE]), limits)
    with pytest.raises(Refused, match="below 0"):
        choose(frame([(*ONE[0][:5], -1.0, False)]), limits)
    with pytest.raises(Refused, match="no finite value"):
        choose(frame([(*ONE[0][:4], float("nan"), 1.0, False)]), limits)
    with pytest.raises(Refused, match="radio"):
        choose(frame([(*ONE[0][:3], "radio", 1.0, 1.0, False)]), limits)


def test_nothing_worth_doing_is_an_empty_plan() -> None:
    choice = choose(frame([(*ONE[0][:4], -1.0, 1.0, False)]), Limits(10.0, 2))
    assert (choice.rows.height, choice.value, choice.bound, choice.gap_percent) == (0, 0.0, 0.0, 0.0)
