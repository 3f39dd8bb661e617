"""The optimizer on 100,000 candidates, and on small instances beside the exact optimum.

Belongs here: instances of the shape of a plan, brute force, greedy as the rival. Does not belong here: the optimizer
(ml.actions_optimizer).

Greedy takes candidates by value per dollar while the limits allow it: what a team does with a sorted list.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from benchmarks.program import Options, Stopwatch, progress, result
from ml.actions_limits import KINDS, Limits, Refused
from ml.actions_optimizer import CANDIDATE_KEY, CELL, TARGET_WEEK, choose
from ml.frame_checks import SERIES_KEY

SEED = 20171204
FIRST_WEEK = date(2018, 1, 1)
SMALL_INSTANCES, SMALL_CANDIDATES = 200, 12
COSTS = {"display": 3.0, "mailer": 1.5}
SHARE_OF_COSTS = (0.02, 0.10)


@dataclass(frozen=True)
class Size:
    """Stores, product groups and target weeks of an instance; two kinds of activity in each cell."""

    stores: int
    groups: int
    weeks: int


LARGE = Size(500, 25, 4)


def bench_optimizer(_options: Options) -> dict[str, Any]:
    """Seconds and proven gap on the large instances; the worst distance from brute force on the small ones."""
    watch = Stopwatch()
    metrics: dict[str, float] = {}
    rivals: dict[str, dict[str, float]] = {}
    for share in SHARE_OF_COSTS:
        candidates = instance(LARGE, SEED)
        limits = large_limits(candidates, share)
        began = time.perf_counter()
        choice = choose(candidates, limits)
        seconds = time.perf_counter() - began
        rival = greedy(candidates, limits)
        name = f"budget_{share:.0%}".replace("%", "")
        metrics |= {f"seconds_{name}": seconds, f"gap_percent_{name}": choice.gap_percent}
        metrics |= {f"actions_{name}": choice.rows.height, f"broken_limits_{name}": broken(choice.rows, limits)}
        rivals[f"greedy_{name}"] = {"ratio_of_value": float(rival["value"].sum()) / choice.value}
        progress(f"{candidates.height:,} candidates, budget {limits.budget_usd:,.0f}: {seconds:.1f} s")
    metrics |= small_instances()
    size = {"candidates": instance(LARGE, SEED).height, "small_instances": SMALL_INSTANCES}
    return result("optimizer", size, metrics, watch.seconds(), rivals=rivals)


def instance(size: Size, seed: int) -> pl.DataFrame:
    """Candidates of all cells: sales spread over stores and groups, a lift per group and kind, costs per store."""
    random = np.random.default_rng(seed)
    shape = (size.stores, size.groups, size.weeks, len(KINDS))
    store, group, week, kind = (part.ravel() for part in np.indices(shape))
    base = random.lognormal(1.5, 0.8, (size.stores, size.groups, size.weeks))[store, group, week]
    lift = random.normal((0.25, 0.12), (0.15, 0.10), (size.groups, len(KINDS)))[group, kind]
    margin = random.uniform(2.0, 12.0, size.groups)[group]
    cost = np.array([COSTS[name] for name in KINDS])[kind] * random.uniform(0.8, 1.2, size.stores)[store]
    explored = random.random((size.stores, size.groups, size.weeks))[store, group, week] < 0.1
    weeks = pl.Series([FIRST_WEEK + timedelta(7 * n) for n in range(size.weeks)])
    return pl.DataFrame({
        "store_id": pl.Series(store).cast(pl.String).str.zfill(4),
        "product_group": pl.Series(group).cast(pl.String).str.zfill(3),
        TARGET_WEEK: weeks.gather(week),
        "kind": pl.Series(np.array(KINDS)[kind], dtype=pl.String),
        "value": base * lift * margin - cost,
        "assumed_cost_usd": cost.round(2),
        "is_exploration": explored,
    })  # fmt: skip


def large_limits(candidates: pl.DataFrame, share: float) -> Limits:
    """Every limit binds or nearly so: budget, slots, weeks of a series, least and most of a kind."""
    stores = candidates["store_id"].n_unique()
    return Limits(
        round(float(candidates["assumed_cost_usd"].sum()) * share, 2), slots_per_store=4, weeks_per_series=1,
        min_actions={"mailer": stores}, max_actions={"display": 6 * stores}, exploration_share=0.1,
    )  # fmt: skip


def small_instances() -> Mapping[str, float]:
    """The worst shortfall from the exact optimum in percent, and how often both say that there is no plan."""
    random = np.random.default_rng(SEED)
    worst, refused = 0.0, 0
    for number in range(SMALL_INSTANCES):
        rows = instance(Size(2, 3, 2), SEED + number).sample(SMALL_CANDIDATES, seed=number)
        limits = Limits(
            float(random.uniform(2, 14)), int(random.integers(1, 3)), int(random.integers(1, 3)),
            {"mailer": int(random.integers(0, 4))}, {"display": int(random.integers(0, 4))}, exploration_share=0.4,
        )  # fmt: skip
        best = exact(rows, limits)
        try:
            found = choose(rows, limits)
        except Refused:
            if best is not None:
                raise
            refused += 1
            continue
        if best is None or broken(found.rows, limits):
            raise ValueError(f"Instance {number}: the plan breaks a limit.")
        worst = max(worst, 100 * (best - found.value) / abs(best) if best else 0.0)
    return {"worst_shortfall_percent_small": worst, "refused_as_by_brute_force": refused}


def exact(rows: pl.DataFrame, limits: Limits) -> float | None:
    """The best value over all subsets; None when none keeps the limits."""
    items = rows.to_dicts()
    best: float | None = None
    for flags in product((False, True), repeat=len(items)):
        chosen = [item for item, taken in zip(items, flags, strict=True) if taken]
        value = sum(item["value"] for item in chosen)
        if (best is None or value > best) and not broken(chosen, limits):
            best = value
    return best


def broken(rows: pl.DataFrame | list[dict[str, Any]], limits: Limits) -> int:
    """How many limits the chosen rows break."""
    items = rows.to_dicts() if isinstance(rows, pl.DataFrame) else rows
    ticks = [round(item["assumed_cost_usd"] * 10_000) for item in items]
    explored = sum(cost for cost, item in zip(ticks, items, strict=True) if item["is_exploration"])
    budget = round(limits.budget_usd * 10_000)
    kinds = Counter(item["kind"] for item in items)

    def most(key: tuple[str, ...]) -> int:
        return max(Counter(tuple(item[name] for name in key) for item in items).values(), default=0)

    return sum((
        sum(ticks) > budget, explored > int(budget * limits.exploration_share), most(CELL) > 1,
        most(("store_id", TARGET_WEEK)) > limits.slots_per_store, most(SERIES_KEY) > limits.weeks_per_series,
        any(kinds[kind] < least for kind, least in limits.min_actions.items()),
        any(kinds[kind] > count for kind, count in limits.max_actions.items()),
    ))  # fmt: skip


def greedy(candidates: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """Least numbers are not looked at: a greedy plan that misses them is compared all the same."""
    best_first = candidates.filter(pl.col("value") > 0).sort(
        pl.col("value") / pl.col("assumed_cost_usd"), descending=True
    )
    spent, explored, taken = 0.0, 0.0, list[bool]()
    counts: Counter[tuple[object, ...]] = Counter()
    for store, group, week, kind, cost, is_explored in best_first.select(
        *SERIES_KEY, TARGET_WEEK, "kind", "assumed_cost_usd", "is_exploration"
    ).iter_rows():
        cell, slot, series = ("cell", store, group, week), ("slot", store, week), ("series", store, group)
        fits = (
            spent + cost <= limits.budget_usd
            and explored + cost * is_explored <= limits.budget_usd * limits.exploration_share
            and counts[cell] < 1
            and counts[slot] < limits.slots_per_store
            and counts[series] < limits.weeks_per_series
            and counts[kind,] < limits.max_actions.get(kind, candidates.height)
        )
        if fits:
            spent, explored = spent + cost, explored + cost * is_explored
            counts.update((cell, slot, series, (kind,)))
        taken.append(fits)
    return best_first.filter(pl.Series(taken)).sort(CANDIDATE_KEY)
