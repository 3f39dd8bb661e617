"""The best choice of activities under limits, with a proof of how far from the best it can be at most.

Belongs here: the integer program of one plan, the names of limits that contradict each other. Does not belong here: the
search (actions_solver), what an activity is expected to add (actions_candidates), who is held out (actions_holdout).

A multiple-choice knapsack (Kellerer, Pferschy and Pisinger, Knapsack Problems, 2004, ch. 11) whose cells share slots, a
budget and counts by kind. The slots of a store-week and the weeks of a series form a bipartite matching, which is
integral; only the few shared limits make a solution of the linear relaxation fractional, so that its bound is close.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from ml.actions_limits import KINDS, Limits, Refused
from ml.actions_solver import Program, solve
from ml.frame_checks import SERIES_KEY, require_columns, require_unique

TARGET_WEEK = "target_week_start_date"
CELL: tuple[str, ...] = (TARGET_WEEK, *SERIES_KEY)
CANDIDATE_KEY: tuple[str, ...] = (*CELL, "kind")
# What one lift is measured for, and within which a hold-out is drawn.
ARM: tuple[str, ...] = ("product_group", "kind")
# Costs are compared as whole ten-thousandths of a dollar, so that no rounding breaks a budget.
_TICKS_PER_USD = 10_000


@dataclass(frozen=True)
class Choice:
    """The chosen activities.

    Attributes:
        rows: the candidates that were chosen, sorted by CANDIDATE_KEY.
        value: what they are worth together, in the unit of the candidates' value.
        bound: no choice that keeps the limits is worth more.
    """

    rows: pl.DataFrame
    value: float
    bound: float

    @property
    def gap_percent(self) -> float:
        """How far below the best the choice can be at most, in percent of the bound."""
        return 0.0 if self.bound <= self.value else 100.0 * (self.bound - self.value) / abs(self.bound)


@dataclass(frozen=True)
class _Limit:
    """Linear rows matrix x <= upper, one row also >= lower where that is above 0, and how a person names them."""

    name: str
    matrix: csr_array
    lower: float
    upper: NDArray[np.float64]


def choose(candidates: pl.DataFrame, limits: Limits, decided: pl.DataFrame | None = None) -> Choice:
    """The candidates that are worth most together, at most one per store, product group and target week.

    Args:
        candidates: one row per CANDIDATE_KEY: value DOUBLE (what it adds, in any one unit), assumed_cost_usd (0 or
            more), is_exploration BOOLEAN. A candidate worth nothing is chosen only where a least number asks for it.
        limits: see `Limits`; the hold-out is not considered here.
        decided: CELL and kind (none: nothing is done) of what was decided before: it is not chosen again, and its
            activities take slots and weeks, but no budget and no count of this plan.

    Returns:
        The choice and its bound, which are as close as ml.actions_solver says.

    Raises:
        Refused: the limits cannot be kept together; the message names those that stand in each other's way.
        BadFrame: columns are missing or a candidate repeats.
    """
    rows = _checked(candidates)
    held = rows.clear().select(*CELL, "kind") if decided is None else decided.select(*CELL, "kind")
    require_unique(held, CELL, "The decided cells")
    rows = rows.join(held, on=CELL, how="anti")
    wanted = {kind for kind, least in limits.min_actions.items() if least > 0}
    rows = rows.filter((pl.col("value") > 0) | pl.col("kind").is_in(sorted(wanted)))
    if rows.is_empty() and not wanted:
        return Choice(rows, 0.0, 0.0)
    _require_enough(rows, limits)
    value, ticks = rows["value"].to_numpy(), _ticks(rows)
    budget, allowed = _usd_to_ticks(limits.budget_usd), _usd_to_ticks(limits.budget_usd)
    bound = np.inf
    while True:
        taken, proven = _solve(value, _limits(rows, ticks, limits, allowed, held))
        bound = min(bound, proven)
        if taken is None:
            raise Refused(_contradiction(rows, ticks, limits, held))
        spent = int(ticks[taken].sum())
        explored = int(ticks[taken & rows["is_exploration"].to_numpy()].sum())
        excess = max(spent - budget, explored - int(budget * limits.exploration_share))
        if excess <= 0:
            break
        # A solver keeps a limit up to a tolerance; a budget has none.
        allowed -= excess
    worth = float(value[taken].sum())
    return Choice(rows.filter(pl.Series(taken)), worth, max(worth, bound))


def _checked(candidates: pl.DataFrame) -> pl.DataFrame:
    require_columns(candidates, (*CANDIDATE_KEY, "value", "assumed_cost_usd", "is_exploration"), "The candidates")
    require_unique(candidates, CANDIDATE_KEY, "The candidates")
    unknown = sorted(set(candidates["kind"]) - set(KINDS))
    if unknown:
        raise Refused(f"There is no activity of the kind {unknown[0]!r}; the kinds are {', '.join(KINDS)}.")
    cost, value = candidates["assumed_cost_usd"].cast(pl.Float64), candidates["value"]
    if not (cost.is_finite().all() and value.is_finite().all() and not value.has_nulls() and not cost.has_nulls()):
        raise Refused("A candidate has no finite value or cost: leave it out, or mend what it is computed from.")
    if candidates.height and float(cost.to_numpy().min()) < 0:
        raise Refused("The cost of an activity is below 0: write what it costs into assumptions.yaml.")
    return candidates.sort(CANDIDATE_KEY)


def _require_enough(rows: pl.DataFrame, limits: Limits) -> None:
    for kind, least in sorted(limits.min_actions.items()):
        found = rows.filter(pl.col("kind") == kind).height
        if found < least:
            raise Refused(f"At least {least} activities of the kind {kind} are asked for, and {found} are possible.")


def _usd_to_ticks(amount: float) -> int:
    return round(amount * _TICKS_PER_USD)


def _ticks(rows: pl.DataFrame) -> NDArray[np.int64]:
    return np.rint(rows["assumed_cost_usd"].cast(pl.Float64).to_numpy() * _TICKS_PER_USD).astype(np.int64)


def _limits(
    rows: pl.DataFrame, ticks: NDArray[np.int64], limits: Limits, allowed: int, decided: pl.DataFrame
) -> list[_Limit]:
    """All limits as linear rows; a limit that cannot bind has none."""
    most = int(ticks.max(initial=1)) or 1
    cost = ticks / most
    explored = cost * rows["is_exploration"].to_numpy()
    done = decided.filter(pl.col("kind") != "none")
    slots, weeks = limits.slots_per_store, limits.weeks_per_series
    found = [
        _at_most("one activity per store, product group and week", rows, CELL, 1, done.clear()),
        _at_most(f"slots_per_store {slots}", rows, ("store_id", TARGET_WEEK), slots, done),
        _at_most(f"weeks_per_series {weeks}", rows, SERIES_KEY, weeks, done),
        _total(f"budget_usd {limits.budget_usd:,.2f}", cost, upper=allowed / most),
        _total(
            f"exploration_share {limits.exploration_share}",
            explored,
            upper=int(allowed * limits.exploration_share) / most,
        ),
    ]
    for kind in KINDS:
        least, most = limits.min_actions.get(kind, 0), limits.max_actions.get(kind, rows.height)
        name = f"min_actions {least} and max_actions {most} of {kind}"
        found.append(_total(name, (rows["kind"] == kind).to_numpy().astype(float), lower=least, upper=most))
    return [limit for limit in found if limit is not None]


def _at_most(name: str, rows: pl.DataFrame, key: Sequence[str], most: int, done: pl.DataFrame) -> _Limit | None:
    """At most so many of the candidates that share a key, those that are done included."""
    counted = (
        rows.with_row_index("row")
        .join(done.group_by(key).agg(done=pl.len()), on=key, how="left", maintain_order="left")
        .select("row", *key, size=pl.len().over(key), left=(most - pl.col("done").fill_null(0)).clip(0))
        .filter(pl.col("size") > pl.col("left"))
    )
    if counted.is_empty():
        return None
    lines = counted.select(*key, "left").unique(maintain_order=True).with_row_index("line")
    line = counted.join(lines, on=key, how="left", maintain_order="left")["line"].to_numpy()
    matrix = csr_array((np.ones(len(line)), (line, counted["row"].to_numpy())), shape=(lines.height, rows.height))
    return _Limit(name, matrix, 0.0, lines["left"].to_numpy().astype(np.float64))


def _total(name: str, weights: NDArray[np.float64], *, lower: float = 0, upper: float) -> _Limit | None:
    """A weighted sum over all candidates between two numbers."""
    if lower <= 0 and weights.sum() <= upper:
        return None
    return _Limit(name, csr_array(weights[None, :]), lower, np.array([upper], dtype=np.float64))


def _solve(value: NDArray[np.float64], limits: Iterable[_Limit]) -> tuple[NDArray[np.bool_] | None, float]:
    """See `ml.actions_solver.solve`; all limits as upper ones."""
    parts = list(limits)
    least = [part for part in parts if part.lower > 0]
    rows = [*(part.matrix for part in parts), *(-part.matrix for part in least)]
    upper = [*(part.upper for part in parts), *(np.array([-part.lower]) for part in least)]
    if not rows:
        return value > 0, float(value[value > 0].sum())
    return solve(Program(value, csr_array(vstack(rows, format="csr")), np.concatenate(upper)))


def _contradiction(rows: pl.DataFrame, ticks: NDArray[np.int64], limits: Limits, decided: pl.DataFrame) -> str:
    """Which limits stand in each other's way: those without which there would be a plan."""
    parts = _limits(rows, ticks, limits, _usd_to_ticks(limits.budget_usd), decided)
    nothing = np.zeros(rows.height)
    blamed = [
        part.name
        for part in parts
        if not part.name.startswith("one activity")
        and _solve(nothing, [p for p in parts if p is not part])[0] is not None
    ]
    if not blamed:
        # Two limits that each alone make it impossible: name the least activity, which all others only narrow.
        blamed = [part.name for part in parts if part.name.startswith("min_actions") and part.lower > 0]
    return f"No plan keeps all limits at once. Change one of: {'; '.join(blamed)}."
