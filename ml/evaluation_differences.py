"""How sure a difference between two methods is.

Belongs here: the interval of a difference of WAPE on the same rows. Does not belong here: what follows from it
(ml.promotion decides on its own one-sided bounds).

Errors of one series hang together over weeks, and errors of one week over series. The bootstrap therefore draws both:
series with replacement, and blocks of consecutive target weeks with replacement, the same draw for both methods
(two-way bootstrap: Owen, Annals of Applied Statistics 1, 2007; blocks: Kuensch, Annals of Statistics 17, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit

from ml.frame_checks import SERIES_KEY, BadFrame, require_columns

_TARGET = "target_week_start_date"
_PERCENT = 100.0
_LEAST_UNITS = 2
Units = Literal["weeks", "blocks"]


@dataclass(frozen=True)
class Interval:
    """A method's WAPE less its rival's, in points, with a two-sided interval; `is_sure` when it leaves out zero."""

    estimate: float
    lower: float
    upper: float

    @property
    def is_sure(self) -> bool:
        return self.lower > 0 or self.upper < 0


def wape_difference(
    rows: pl.DataFrame,
    method: str,
    rival: str,
    *,
    confidence: float = 0.95,
    block_weeks: int = 2,
    units: Units = "weeks",
    samples: int = 1000,
    seed: int = 7,
) -> Interval:
    """WAPE of `method` less WAPE of `rival` on the same rows.

    Args:
        rows: one row per store_id, product_group, target_week_start_date and any further columns that make it unique
            (cutoff, horizon): `actual` and one column of point forecasts per method.
        method, rival: names of those columns.
        confidence: of the two-sided interval.
        block_weeks: consecutive target weeks that are drawn together.
        units: what Student's t counts. Weeks whose errors hang together are fewer observations than weeks; blocks are
            the safe side, which matters far out in the tails, where a confidence shared out among many looks leads
            (few clusters: Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008).
        samples, seed: of the bootstrap.

    Raises:
        BadFrame: columns are missing, values are null or not finite, outcomes add up to nothing, or there are fewer
            than two series or two blocks of weeks.
    """
    require_columns(rows, (*SERIES_KEY, _TARGET, "actual", method, rival), "rows")
    if not 0 < confidence < 1 or block_weeks < 1 or samples < 1:
        raise ValueError("confidence lies between 0 and 1; block_weeks and samples are at least 1.")
    actual, gap = _matrices(rows, method, rival)
    n_series, n_weeks = actual.shape
    if not is_large_enough(rows, block_weeks):
        raise BadFrame(f"{n_series} series and {n_weeks} weeks do not hold two of each; give more, or smaller blocks.")
    if actual.sum() <= 0:
        raise BadFrame("The outcomes do not add up to more than 0: there is no WAPE.")
    random = np.random.default_rng(seed)
    by_series = random.multinomial(n_series, np.full(n_series, 1 / n_series), size=samples).astype(np.float64)
    by_week = _week_draws(random, n_weeks, block_weeks, samples)
    gaps = np.einsum("ks,sw,kw->k", by_series, gap, by_week, optimize=True)
    totals = np.einsum("ks,sw,kw->k", by_series, actual, by_week, optimize=True)
    draws = _PERCENT * gaps[totals > 0] / totals[totals > 0]
    estimate = float(_PERCENT * gap.sum() / actual.sum())
    # Quantiles of the draws alone are too narrow for a dozen weeks: Student's t for what few units do not show, and
    # n / (n - block) for the spread that resampling from n weeks loses.
    in_time = n_weeks if units == "weeks" else n_weeks // block_weeks
    critical = float(stdtrit(min(n_series, in_time) - 1, (1 + confidence) / 2))
    reach = critical * float(draws.std()) * (n_weeks / (n_weeks - block_weeks)) ** 0.5
    return Interval(estimate, estimate - reach, estimate + reach)


def is_large_enough(rows: pl.DataFrame, block_weeks: int = 2) -> bool:
    """Whether the rows hold two series and two blocks of target weeks, the least for an interval."""
    weeks = rows[_TARGET].n_unique()
    return rows.select(SERIES_KEY).n_unique() >= _LEAST_UNITS and weeks >= _LEAST_UNITS * block_weeks


def _week_draws(random: np.random.Generator, n_weeks: int, block_weeks: int, samples: int) -> NDArray[np.float64]:
    """How often each week is drawn, shape (samples, n_weeks). Blocks wrap around: all weeks are equally likely."""
    blocks = -(-n_weeks // block_weeks)
    starts = random.integers(0, n_weeks, size=(samples, blocks))
    weeks = (starts[:, :, np.newaxis] + np.arange(block_weeks)) % n_weeks
    flat = weeks.reshape(samples, -1)[:, :n_weeks]
    counts = np.zeros((samples, n_weeks))
    np.add.at(counts, (np.arange(samples)[:, np.newaxis], flat), 1.0)
    return counts


def _matrices(rows: pl.DataFrame, method: str, rival: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of outcomes and of the difference of absolute errors, shape (n_series, n_weeks) each."""
    values = rows.select(pl.col(name).cast(pl.Float64) for name in ("actual", method, rival))
    if not rows.height or not np.isfinite(values.to_numpy()).all():
        raise BadFrame("The rows to compare are none, or hold nulls or values that are not finite.")
    gap = (pl.col(method) - pl.col("actual")).abs() - (pl.col(rival) - pl.col("actual")).abs()
    summed = (
        rows.sort(rows.columns)
        .group_by(*SERIES_KEY, _TARGET, maintain_order=True)
        .agg(actual=pl.col("actual").cast(pl.Float64).sum(), gap=gap.sum())
    )
    series = summed.select(pl.struct(SERIES_KEY).rank("dense") - 1).to_series().to_numpy()
    weeks = (summed[_TARGET].rank("dense") - 1).to_numpy()
    shape = (int(series.max()) + 1, int(weeks.max()) + 1)
    actual, gaps = np.zeros(shape), np.zeros(shape)
    actual[series, weeks], gaps[series, weeks] = summed["actual"].to_numpy(), summed["gap"].to_numpy()
    return actual, gaps
