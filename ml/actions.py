"""The advice of one issue week: which activity where and when, why, what it should add, and what is held out.

Belongs here: the plan as rows that can be read and approved. Does not belong here: its parts (actions_candidates,
actions_optimizer, actions_draws), what became of it (action_outcomes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from ml.actions_candidates import total, valued
from ml.actions_draws import HOLD_OUT, TREATED, held_out
from ml.actions_limits import Assumptions, Limits, Refused
from ml.actions_optimizer import TARGET_WEEK, Choice, choose

ISSUE_WEEK = "issue_week_start_date"
MONEY = pl.Decimal(18, 4)
_CENTS = 4
NEXT_ACTION_SCHEMA: dict[str, pl.DataType] = {
    ISSUE_WEEK: pl.Date(),
    TARGET_WEEK: pl.Date(),
    "store_id": pl.String(),
    "product_group": pl.String(),
    "kind": pl.String(),
    "cell": pl.String(),
    "propensity": pl.Float64(),
    "is_exploration": pl.Boolean(),
    "incremental_transactions": pl.Float64(),
    "incremental_transactions_lower": pl.Float64(),
    "incremental_transactions_upper": pl.Float64(),
    "incremental_margin_usd": MONEY,
    "incremental_margin_usd_lower": MONEY,
    "incremental_margin_usd_upper": MONEY,
    "assumed_cost_usd": MONEY,
    "assumed_margin_percent": pl.Float64(),
    "assumed": pl.String(),
    "reason": pl.String(),
    "base_transactions": pl.Float64(),
    "base_transactions_sd": pl.Float64(),
    "net_sales_usd_per_transaction": pl.Float64(),
    "lift_percent": pl.Float64(),
    "lift_sd_percent": pl.Float64(),
    "sales_lift_percent": pl.Float64(),
    "sales_lift_sd_percent": pl.Float64(),
    "net_share": pl.Float64(),
    "lift_base_transactions": pl.Float64(),
    "optimality_gap_percent": pl.Float64(),
    "assumptions_version": pl.String(),
    "lift_version": pl.String(),
    "model_version": pl.String(),
    "data_version": pl.String(),
}


@dataclass(frozen=True)
class Advice:
    """One plan.

    Attributes:
        rows: columns of NEXT_ACTION_SCHEMA, sorted by CANDIDATE_KEY; empty when no activity is worth its cost.
        candidate_count: how many activities were possible.
        gap_percent: how far the plan can be below the best at most, hold-out not considered.
    """

    rows: pl.DataFrame
    candidate_count: int
    gap_percent: float

    def expected(self, cell: str = TREATED) -> tuple[float, float, float]:
        """Expected incremental transactions of the treated (or held-out) rows together, with their 90 % interval."""
        return total(self.rows.filter(pl.col("cell") == cell))


def advise(
    rows: pl.DataFrame, assumptions: Assumptions, issue: date, lift_version: str, decided: pl.DataFrame
) -> Advice:
    """The best plan among the candidates, after what was decided before, with its hold-out.

    Slots, weeks and most numbers bound the chosen activities, held-out ones included, so that a held-out cell stays
    one without an activity. Budget and least numbers are of the treated: more is chosen than they ask for.

    Args:
        rows: from `ml.actions_candidates.candidates`.
        assumptions: limits, seed, version; costs and margins are in the rows already.
        issue: the issue week.
        lift_version: names the lift that the rows were made from.
        decided: see `ml.actions_optimizer.choose`.

    Raises:
        Refused: see `ml.actions_optimizer.choose`.
    """
    worth, limits = valued(rows, assumptions, issue), assumptions.limits
    # What is held out costs nothing.
    wider = replace(limits, budget_usd=limits.budget_usd / (1 - limits.hold_out_share))
    choice, drawn = _choose(worth, assumptions, wider, decided)
    found = drawn.with_columns(
        pl.lit(issue).alias(ISSUE_WEEK),
        pl.lit(choice.gap_percent).alias("optimality_gap_percent"),
        pl.lit(assumptions.version).alias("assumptions_version"),
        pl.lit(lift_version).alias("lift_version"),
        pl.Series("assumed", [_assumed(row) for row in drawn.iter_rows(named=True)], dtype=pl.String),
        pl.Series("reason", [_reason(row) for row in drawn.iter_rows(named=True)], dtype=pl.String),
    )
    money = [pl.col(name).round(_CENTS).cast(MONEY) for name, kind in NEXT_ACTION_SCHEMA.items() if kind == MONEY]
    found = found.with_columns(money).select(list(NEXT_ACTION_SCHEMA)).cast(dict(NEXT_ACTION_SCHEMA))  # type: ignore[arg-type]
    return Advice(found, rows.height, choice.gap_percent)


def _choose(
    worth: pl.DataFrame, assumptions: Assumptions, limits: Limits, decided: pl.DataFrame
) -> tuple[Choice, pl.DataFrame]:
    """The choice and its rows with the hold-out: the treated within the budget, and enough for every least number."""
    asked, budget = dict(assumptions.limits.min_actions), assumptions.limits.budget_usd
    choice = choose(worth, limits, decided)
    drawn = held_out(choice.rows, limits.hold_out_share, assumptions.seed)
    treated = drawn.filter(pl.col("cell") == TREATED)
    over = float(treated["assumed_cost_usd"].cast(MONEY).sum()) - budget
    if over > 0:
        return _choose(worth, assumptions, replace(limits, budget_usd=max(budget, limits.budget_usd - over)), decided)
    short = {kind: least - treated.filter(pl.col("kind") == kind).height for kind, least in asked.items()}
    if all(missing <= 0 for missing in short.values()):
        return choice, drawn
    more = {kind: limits.min_actions[kind] + max(missing, 0) for kind, missing in short.items()}
    crossed = [kind for kind, least in more.items() if least > limits.max_actions.get(kind, least)]
    if crossed:
        kind = crossed[0]
        raise Refused(
            f"min_actions {asked[kind]} of {kind} cannot be treated within max_actions {limits.max_actions[kind]} "
            f"while a share of {limits.hold_out_share} is held out. Lower the hold_out_share or raise max_actions."
        )
    return _choose(worth, assumptions, replace(limits, min_actions=more), decided)


def _assumed(row: dict) -> str:
    return (
        f"assumed: a {row['kind']} costs {row['assumed_cost_usd']:.2f} USD a store, product group and week; "
        f"{row['assumed_margin_percent']:g} % of the net sales of {row['product_group']} are margin"
    )


def _reason(row: dict) -> str:
    begin = {TREATED: "Do", HOLD_OUT: "Leave out, to measure the effect,"}[row["cell"]]
    low, high = row["incremental_transactions_lower"], row["incremental_transactions_upper"]
    tried = "; its effect is tried where it is not sure" if row["is_exploration"] else ""
    return (
        f"{begin} a {row['kind']} of {row['product_group']} in store {row['store_id']}: {row['base_transactions']:.1f} "
        f"transactions are forecast without; {row['lift_percent']:+.1f} % were measured for it in its group and week, "
        f"{row['lift_percent'] * row['net_share']:+.1f} % with what other groups and weeks win or lose; that adds "
        f"{row['incremental_transactions']:+.2f} transactions (90 %: {low:+.2f} to {high:+.2f}) and "
        f"{row['incremental_margin_usd']:+.2f} USD of margin for an assumed cost of {row['assumed_cost_usd']:.2f} USD"
        f"{tried}."
    )
