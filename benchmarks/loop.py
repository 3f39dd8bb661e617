"""The closed loop: advice, hold-out, outcome, lift anew, over twelve rounds in markets with known truth.

Belongs here: the policies, the rounds, their figures. Does not belong here: the market (benchmarks.loop_world).

All policies have the same market, luck, budget, slots and costs.
- liftlake: the product's own path: candidates, optimizer, exploration, hold-out, log, outcomes, recalibrated lift.
- frozen: the same by the lift of the past as it was measured, whatever its hold-outs say.
- popularity: the product groups that sell most, by the kind that the past used most.
- largest: the cells that sell most, by that kind: a strong rule where all answer alike.
- random: any cell and kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import t as student

from benchmarks.loop_world import PAST_WEEKS, ROUNDS, Chain, make_chain
from benchmarks.program import Options, Stopwatch, progress, result
from ml.action_assignments import ASSIGNMENT_SCHEMA, Decider, approve
from ml.action_outcomes import ALL, ONE_WEEK, OUTCOME_SCHEMA, outcomes
from ml.action_recalibration import recalibrated
from ml.actions import advise
from ml.actions_candidates import candidates
from ml.actions_draws import TREATED, uniforms
from ml.actions_limits import Assumptions, Limits
from ml.actions_optimizer import ARM, CELL

# Those of 1 to 20 were looked at while the loop was built.
SEEDS = range(101, 161)
CONFIDENCE = 0.95
LIMITS = Limits(150.0, 2, exploration_share=0.1, hold_out_share=0.15)
MARGINS_PERCENT = (15.0, 45.0)
COSTS = {"display": 3.0, "mailer": 1.5}
NO_PLANS = pl.DataFrame(
    schema={
        "store_id": pl.String, "product_group": pl.String, "week_start_date": pl.Date, "display_products": pl.Int64,
        "mailer_products": pl.Int64,
    }
)  # fmt: skip
NOTHING_DECIDED = pl.DataFrame(
    schema={"target_week_start_date": pl.Date, "store_id": pl.String, "product_group": pl.String, "kind": pl.String}
)


@dataclass(frozen=True)
class Run:
    """One policy in one market.

    Attributes:
        net_margin_usd: of all rounds up to each, in truth, less costs.
        error_points: by round, how far the expected lift of the chosen arms lies from the true one, in points; None for
            a policy that expects nothing.
        inside: by round, whether the interval of what was measured held the truth; None where nothing was measured.
    """

    net_margin_usd: list[float]
    error_points: list[float] | None = None
    inside: list[bool | None] | None = None


def bench_loop(_options: Options) -> dict[str, Any]:
    """Calibration error of the first and the last quarter of rounds, and value against each rival, with intervals.

    `by_round` has what benchmarks.loop_plot draws.
    """
    watch = Stopwatch()
    runs = all_runs(SEEDS)
    metrics, rivals = figures(runs)
    size = {"markets": len(SEEDS), "rounds": ROUNDS, "budget_usd": LIMITS.budget_usd, "hold_out": LIMITS.hold_out_share}
    return result("loop", size, metrics, watch.seconds(), rivals=rivals) | {"by_round": by_round(runs)}


def by_round(runs: Mapping[str, list[Run]]) -> dict[str, dict[str, list[float]]]:
    """Of each policy the mean over markets, round by round, and half of its 95 % interval."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, own in runs.items():
        parts = {"net_margin_usd": [run.net_margin_usd for run in own]}
        if own[0].error_points is not None:
            parts["error_points"] = [run.error_points or [] for run in own]
        found[name] = {}
        for part, rows in parts.items():
            values = np.array(rows)
            found[name][part] = values.mean(axis=0).tolist()
            found[name][f"{part}_half"] = (_t(len(own)) * values.std(axis=0, ddof=1) / len(own) ** 0.5).tolist()
    return found


def figures(runs: Mapping[str, list[Run]]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The metrics, and what each rival came to."""
    own = runs["liftlake"]
    errors = np.array([run.error_points for run in own])
    quarter = ROUNDS // 4
    first, last = errors[:, :quarter].mean(axis=1), errors[:, -quarter:].mean(axis=1)
    value = {name: np.array([run.net_margin_usd[-1] for run in found]) for name, found in runs.items()}
    inside = [flag for run in own for flag in run.inside or () if flag is not None]
    metrics = {
        "calibration_error_points_first_rounds": float(first.mean()),
        "calibration_error_points_last_rounds": float(last.mean()),
        **interval("calibration_error_fell_by", first - last),
        "coverage_of_measured_90_percent_interval": float(np.mean(inside)),
        **interval("net_margin_usd", value["liftlake"]),
    }
    rivals = {
        name: interval("net_margin_usd", value[name])
        | interval("liftlake_less_it_usd", value["liftlake"] - value[name])
        | {"markets_in_which_liftlake_earned_more": float((value["liftlake"] > value[name]).sum())}
        for name in runs
        if name != "liftlake"
    }
    return metrics, rivals


def all_runs(seeds: range) -> dict[str, list[Run]]:
    """Every policy in every market."""
    runs: dict[str, list[Run]] = {}
    for seed in seeds:
        for name, found in runs_of(seed).items():
            runs.setdefault(name, []).append(found)
        progress(
            f"market {seed}: " + ", ".join(f"{name} {found[-1].net_margin_usd[-1]:.0f}" for name, found in runs.items())
        )
    return runs


def runs_of(seed: int) -> dict[str, Run]:
    """Every policy in one market."""
    chain, lift = make_chain(seed)

    def popular(rows: pl.DataFrame) -> pl.DataFrame:
        sold = pl.col("base_transactions").sum().over("product_group")
        return usual_kind(chain, rows).sort([sold, "base_transactions"], descending=True)

    def largest(rows: pl.DataFrame) -> pl.DataFrame:
        return usual_kind(chain, rows).sort("base_transactions", descending=True)

    def drawn(rows: pl.DataFrame) -> pl.DataFrame:
        draws = uniforms(rows, [*CELL, "kind"], seed, "random")
        return rows.with_columns(_draw=draws).sort("_draw")

    return {
        "liftlake": advised(chain.copy(), lift, seed, learns=True),
        "frozen": advised(chain.copy(), lift, seed, learns=False),
        "popularity": chosen_by(chain.copy(), lift, popular),
        "largest": chosen_by(chain.copy(), lift, largest),
        "random": chosen_by(chain.copy(), lift, drawn),
    }


def advised(chain: Chain, lift: pl.DataFrame, seed: int, *, learns: bool) -> Run:
    """The product's path, round by round."""
    log, spent = pl.DataFrame(schema=ASSIGNMENT_SCHEMA), 0.0
    known = recalibrated(lift, pl.DataFrame(schema=OUTCOME_SCHEMA)) if learns else lift
    run = Run([], [], [])
    for week in range(PAST_WEEKS, PAST_WEEKS + ROUNDS):
        issue, start = chain.week(week - 1), chain.week(week)
        assumptions = assumed(chain, seed)
        rows = candidates(chain.forecasts(week), NO_PLANS, known, chain.sales, assumptions)
        advice = advise(rows, assumptions, issue, "loop", NOTHING_DECIDED).rows
        by = Decider("loop", datetime.combine(start, time(), UTC), begun=())
        log = log if advice.is_empty() else pl.concat([log, approve(advice, None, log, by)])
        treated = advice.filter(pl.col("cell") == TREATED)
        chain.act(treated, week)
        spent += float(treated["assumed_cost_usd"].sum())
        found = outcomes(log, chain.series(), start, since=start)
        known = recalibrated(lift, found) if learns else lift
        _note(run, chain, treated, found, week, spent)
    return run


def _note(run: Run, chain: Chain, treated: pl.DataFrame, found: pl.DataFrame, week: int, spent: float) -> None:
    """What the round came to, beside the truth."""
    truth = treated.join(chain.added_in_week(week), on=["store_id", "product_group"])
    arms = truth.group_by(ARM).agg(
        expected=(pl.col("lift_percent") * pl.col("base_transactions") / 100).sum(),
        added=pl.col("added").sum(),
        base=pl.col("base").sum(),
    )
    assert run.error_points is not None
    assert run.inside is not None
    off = float((arms["expected"] - arms["added"]).abs().sum()) / float(arms["base"].sum()) if arms.height else 0.0
    run.error_points.append(100 * off)
    row = found.filter(
        (pl.col("target_week_start_date") == chain.week(week))
        & (pl.col("period") == ONE_WEEK)
        & (pl.col("kind") == ALL)
    )
    measured = row.height and row["measured_lower"][0] is not None
    # What is measured is of the treated whose stratum has a hold-out.
    compared = truth.filter(pl.col("propensity") < 1)["added"].sum()
    run.inside.append(bool(row["measured_lower"][0] <= compared <= row["measured_upper"][0]) if measured else None)
    run.net_margin_usd.append(margin_usd(chain) - spent)


def chosen_by(chain: Chain, lift: pl.DataFrame, order: Callable[[pl.DataFrame], pl.DataFrame]) -> Run:
    """A policy that takes candidates in an order while budget and slots last."""
    run, spent = Run([]), 0.0
    for week in range(PAST_WEEKS, PAST_WEEKS + ROUNDS):
        assumptions = assumed(chain, 0)
        rows = candidates(chain.forecasts(week), NO_PLANS, lift, chain.sales, assumptions)
        taken = within(order(rows), assumptions.limits)
        chain.act(taken, week)
        spent += float(taken["assumed_cost_usd"].sum())
        run.net_margin_usd.append(margin_usd(chain) - spent)
    return run


def usual_kind(chain: Chain, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of the kind that the past used most, of each product group that has it."""
    display, mailer = (float(part[..., :PAST_WEEKS].sum()) for part in (chain.past.is_display, chain.past.is_mailer))
    usual = "display" if display >= mailer else "mailer"
    return rows.sort(pl.col("kind") != usual, *CELL, maintain_order=True).unique(
        CELL, keep="first", maintain_order=True
    )


def within(rows: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """The first rows that keep budget, slots and one activity a cell."""
    spent, slots, cells, flags = 0.0, dict[str, int](), set[tuple[str, str]](), list[bool]()
    for store, group, cost in rows.select("store_id", "product_group", "assumed_cost_usd").iter_rows():
        fits = (
            spent + cost <= limits.budget_usd
            and slots.get(store, 0) < limits.slots_per_store
            and (store, group) not in cells
        )
        if fits:
            spent += cost
            slots[store] = slots.get(store, 0) + 1
            cells.add((store, group))
        flags.append(fits)
    return rows.filter(pl.Series(flags, dtype=pl.Boolean))


def assumed(chain: Chain, seed: int) -> Assumptions:
    """Costs and margins, which are true here."""
    return Assumptions(COSTS, margins_percent(chain), LIMITS, seed, "loop")


def margins_percent(chain: Chain) -> dict[str, float]:
    """Drawn once a market, between MARGINS_PERCENT."""
    random = np.random.default_rng([chain.world.seed, 5])
    return {name: float(random.uniform(*MARGINS_PERCENT)) for name in chain.world.group_names}


def margin_usd(chain: Chain) -> float:
    """What all activities so far added in truth, before their costs."""
    margins = margins_percent(chain)
    return sum(margins[name] / 100 * sales for name, sales in chain.added_sales_usd().items())


def interval(name: str, values: np.ndarray) -> dict[str, float]:
    """The mean over markets with its interval (Student's t)."""
    half = _t(len(values)) * values.std(ddof=1) / len(values) ** 0.5
    mean = float(values.mean())
    return {name: mean, f"{name}_lower": mean - float(half), f"{name}_upper": mean + float(half)}


def _t(count: int) -> float:
    return float(student.ppf(0.5 + CONFIDENCE / 2, count - 1))
