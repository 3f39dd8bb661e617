"""The rule for stock-outs and de-listings beside simpler laws: what each flags, how much is chance, what it finds.

Belongs here: the rival laws, the shuffle, the planted outages. Does not belong here: our rule (ml.censoring).

Series: store x product category of all stores in fourteen beverage categories, baskets per business week from the first
sale on. A rival's law gives the probability of a run of weeks without a sale; all else is as in our rule.

- shuffled: the weeks of each series change places. It sells as much and no outage is left, so that flags are chance.
- found: outages planted, all of a level at once, in series that sold 3/4 to 3/2 of it a week; the last week is flagged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from benchmarks.demand_data import WEEKS, beverage_lines
from benchmarks.program import Options, Stopwatch, result
from ml.censoring import CENSORING, DEFAULT_RULE, DELISTED, censored_counts, censored_weeks
from ml.frame_checks import SERIES_KEY, WEEK
from ml.plans import PLAN_SCHEMA
from ml.series import DECIMAL, dense_series

Law = Callable[[Sequence[int], int], float]
KEY = [*SERIES_KEY, WEEK]
# The source begins with the last day of its week 1, which is partial.
STARTS = [date(2016, 12, 26) + timedelta(weeks=position) for position in range(len(WEEKS))]
DRAWS = 5
# Weeks without a sale from OUTAGE_AT on, and baskets a week in the 13 weeks before.
OUTAGES, OUTAGE_AT = ((8, 1), (4, 2), (4, 4)), 30


def poisson(reference: Sequence[int], run: int) -> float:
    """The mean of the reference weeks is the rate."""
    return math.exp(-run * sum(reference) / len(reference))


def predictive(reference: Sequence[int], run: int) -> float:
    """The mean is an estimate of the rate (Jeffreys' prior); sales are not divided by their dispersion."""
    return (len(reference) / (len(reference) + run)) ** (sum(reference) + 0.5)


def bench_censoring(options: Options) -> dict[str, Any]:
    """Weeks and runs flagged, the same on shuffled weeks (mean of the draws), and of planted outages those found."""
    watch = Stopwatch()
    series = weekly_series(beverage_lines(options.data))
    shuffles = [shuffled(series, seed) for seed in range(DRAWS)]
    planted = {f"{weeks}_weeks_at_{level}": with_outages(series, weeks, level) for weeks, level in OUTAGES}
    rivals = {law.__name__: partial(flagged, law) for law in (poisson, predictive)}
    figures: dict[str, dict[str, float]] = {}
    for name, flag in {"ours": censored_weeks, **rivals}.items():
        real, drawn = flag(series), [(rows, flag(rows)) for rows in shuffles]
        chance = [found.height for _, found in drawn]
        figures[name] = {
            "weeks": real.height,
            "runs": runs(series, real),
            "shuffled_weeks": float(np.mean(chance)),
            "shuffled_weeks_least": min(chance),
            "shuffled_weeks_most": max(chance),
            "shuffled_runs": float(np.mean([runs(rows, found) for rows, found in drawn])),
        }
        for outage, (rows, last) in planted.items():
            figures[name][f"found_{outage}"] = flag(rows).join(last, on=KEY, how="semi").height
    own = figures.pop("ours") | {f"planted_{outage}": last.height for outage, (_, last) in planted.items()}
    whole = series.filter(~pl.col("is_partial_week"))["transactions"]
    size = {"series": series.n_unique(SERIES_KEY), "whole_weeks": len(whole), "zero_weeks": (whole == 0).sum()}
    return result("censoring", size, own | kinds(series), watch.seconds(), rivals=figures)


def weekly_series(lines: pl.DataFrame) -> pl.DataFrame:
    """KEY, transactions, is_partial_week as in gold.demand_series, from benchmarks.demand_data.beverage_lines."""
    starts = pl.col("week").replace_strict(WEEKS, STARTS, return_dtype=pl.Date).alias(WEEK)
    units, sales = pl.col("quantity").sum().cast(DECIMAL), pl.col("sales_value").sum().cast(DECIMAL)
    gross = (pl.col("sales_value") + pl.col("retail_disc")).sum().cast(DECIMAL)
    sums = lines.group_by(pl.col("store_id").cast(pl.String), "product_group", starts).agg(
        transactions=pl.n_unique("basket_id"), quantity_units=units, net_sales_usd=sales, gross_sales_usd=gross
    )
    dense = dense_series(sums, pl.DataFrame(schema=PLAN_SCHEMA), STARTS, "America/New_York", partial_weeks=STARTS[:1])
    return dense.select(*KEY, "transactions", "is_partial_week")


def shuffled(series: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Each series with its whole weeks of an open store in random order; the first, a sale by definition, stays."""
    draw = pl.Series(np.random.default_rng(seed).random(series.height))
    moves = _counts() & (pl.col(WEEK) > pl.col(WEEK).min().over(SERIES_KEY))
    moved = pl.col("transactions").sort_by("_draw").over(*SERIES_KEY, "_moves")
    return series.with_columns(moves.alias("_moves"), draw.alias("_draw")).select(
        *KEY, pl.when("_moves").then(moved).otherwise("transactions").alias("transactions"), "is_partial_week"
    )


def with_outages(series: pl.DataFrame, weeks: int, level: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The series, those of the level without a sale for `weeks` weeks; and KEY of the last week of each outage."""
    before = series.filter(pl.col(WEEK).is_in(STARTS[OUTAGE_AT - 13 : OUTAGE_AT])).sort(KEY)
    sold = before.group_by(SERIES_KEY).agg(pl.len(), pl.col("transactions").mean(), last=pl.col("transactions").last())
    is_level = pl.col("transactions").is_between(0.75 * level, 1.5 * level, closed="left")
    chosen = sold.filter(is_level & (pl.col("len") == 13) & (pl.col("last") > 0)).select(SERIES_KEY)
    empty = chosen.join(pl.DataFrame({WEEK: STARTS[OUTAGE_AT : OUTAGE_AT + weeks]}), how="cross")
    rows = series.update(empty.with_columns(transactions=pl.lit(0, pl.Int64)), on=KEY)
    return rows, empty.filter(pl.col(WEEK) == pl.col(WEEK).max())


def flagged(law: Law, series: pl.DataFrame) -> pl.DataFrame:
    """KEY of the weeks that DEFAULT_RULE would censor by another law, by a loop."""
    rows = series.sort(KEY).select(*KEY, "transactions", _counts())
    found = [row for own in rows.partition_by(SERIES_KEY) for row in _flagged_of_one(law, own)]
    return pl.DataFrame(found, schema={name: series.schema[name] for name in KEY}, orient="row")


def _flagged_of_one(law: Law, rows: pl.DataFrame) -> list[tuple[str, str, date]]:
    rule, found, believed, reference, run = DEFAULT_RULE, [], list[int](), list[int](), 0
    for store, group, week, sales, counts in rows.iter_rows():
        run = 0 if sales else run + counts
        reference = believed[-rule.reference_weeks :] if run == 1 and counts else reference
        enough = len(reference) >= rule.least_reference_weeks
        if counts and not sales and enough and law(reference, run) < rule.least_probability:
            found.append((store, group, week))
        elif counts:
            believed.append(sales)
    return found


def runs(series: pl.DataFrame, found: pl.DataFrame) -> int:
    """Number of runs that the weeks belong to: a run is told by how often the series sold before."""
    sold = series.sort(KEY).with_columns(_sold=(pl.col("transactions") > 0).cum_sum().over(SERIES_KEY))
    return sold.join(found, on=KEY, how="semi").n_unique([*SERIES_KEY, "_sold"])


def kinds(series: pl.DataFrame) -> dict[str, float]:
    """Weeks of each kind; series that were called de-listed, and of these those that sold again."""
    found = censored_weeks(series)
    gone = found.filter(pl.col(CENSORING) == DELISTED).group_by(SERIES_KEY).agg(since=pl.col(WEEK).min())
    back = series.join(gone, on=SERIES_KEY).filter((pl.col(WEEK) > pl.col("since")) & (pl.col("transactions") > 0))
    counts: dict[str, float] = {f"{kind}_weeks": count for kind, count in censored_counts(found).items()}
    return counts | {"delisted_series": gone.height, "delisted_series_that_sold_again": back.n_unique(SERIES_KEY)}


def _counts() -> pl.Expr:
    """The week is whole and the store sold anything."""
    return ~pl.col("is_partial_week") & (pl.col("transactions").sum().over("store_id", WEEK) > 0)
