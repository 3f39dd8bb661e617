"""Drift: how far a week's rows are from those that a model was trained on, and whether that is more than usual.

Belongs here: distances between histograms (PSI, Kolmogorov-Smirnov, Wasserstein), their test against what weeks of the
reference showed, marks of broken data, and the test of the realised error. Does not belong here: histograms
(ml.histograms), what follows from drift (ml.drift_decisions).

Rows of one week share its season, its weather and its promotions, so tests that take rows for independent call every
week drift. The unit here is the week: each week of the reference is held against the other weeks, and a new week has
drifted when its distance lies above what Student's t allows for one more draw of (the logarithms of) theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtr

from ml.frame_checks import WEEK, BadFrame
from ml.histograms import BIN, CATEGORY, MISSING, SUBJECT, UPPER

# Half a row stands in for an empty bin, so that PSI stays finite (Jeffreys).
_HALF = 0.5
_LEAST_DISTANCE = 1e-6
# Fewer weeks of a backtest have no spread worth the name; a smaller one than 2 % is luck.
_LEAST_TESTED, _ERROR_SPREAD = 3, 0.02
DRIFT_SCHEMA: Mapping[str, pl.DataType] = {
    WEEK: pl.Date(),
    SUBJECT: pl.String(),
    "row_count": pl.Int64(),
    "missing_share": pl.Float64(),
    "psi": pl.Float64(),
    "psi_usual": pl.Float64(),
    "ks": pl.Float64(),
    "wasserstein": pl.Float64(),
    "p_value": pl.Float64(),
    "is_drifted": pl.Boolean(),
    "fault": pl.String(),
}


@dataclass(frozen=True)
class DriftThresholds:
    """What counts as drift and as broken data. Data, so that a verdict can be repeated.

    Attributes:
        level: chance of calling any column of a usual week drifted.
        least_psi: distance below which no test matters.
        least_spread: least standard deviation of the logarithm of a distance between weeks.
        least_weeks: weeks of the reference below which nothing is tested.
        missing_share, unseen_share: how much more missing values, or texts that the reference did not have, than in
            any week of the reference are broken data.
        least_rows_share: fewer rows than this share of the smallest of the last weeks of the reference are.
        scale_shift: a Wasserstein distance (in standard deviations) that no market makes: another unit.
    """

    level: float = 0.05
    least_psi: float = 0.1
    least_spread: float = 0.1
    least_weeks: int = 8
    missing_share: float = 0.1
    unseen_share: float = 0.1
    least_rows_share: float = 0.5
    scale_shift: float = 5.0


@dataclass(frozen=True)
class _Column:
    """Counts and means of one column on its bins, shape (n_weeks, n_bins) each."""

    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    is_text: bool
    unseen: int


def psi(reference: NDArray[np.float64], current: NDArray[np.float64]) -> NDArray[np.float64]:
    """Population stability index over the last axis: sum (q - p) ln(q / p) of shares, half a row in empty bins."""
    p, q = (np.where(counts > 0, counts, _HALF) for counts in (reference, current))
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    return np.sum((q - p) * np.log(q / p), axis=-1)


def ks(reference: NDArray[np.float64], current: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest difference of the distribution functions at the bins' ends; 0 where a side has no row."""
    return np.max(np.abs(_cumulated(reference) - _cumulated(current)), axis=-1)


def wasserstein(reference: tuple[NDArray, NDArray], current: tuple[NDArray, NDArray]) -> float:
    """First Wasserstein distance between two histograms in standard deviations of the reference.

    Each bin's rows stand at their own mean, so that a shift beyond the reference's range counts in full. What is lost
    is what moves within a bin.

    Args:
        reference, current: counts and sums of one column, each of shape (n_bins,), missing values left out.
    """
    places, weights = [], []
    for counts, sums in (reference, current):
        held = counts > 0
        places.append(sums[held] / counts[held])
        weights.append(counts[held])
    if not places[0].size or not places[1].size:
        return 0.0
    spread = float(
        np.sqrt(np.average((places[0] - np.average(places[0], weights=weights[0])) ** 2, weights=weights[0]))
    )
    from scipy.stats import wasserstein_distance

    distance = float(wasserstein_distance(places[0], places[1], weights[0], weights[1]))
    return distance / max(spread, abs(float(places[0].mean())) * _LEAST_DISTANCE, np.finfo(float).tiny)


def drift(reference: pl.DataFrame, current: pl.DataFrame, thresholds: DriftThresholds) -> pl.DataFrame:
    """Distances of every week and column from the reference, and whether they are more than usual.

    Args:
        reference: ml.histograms by week_start_date of the rows that the model was trained on.
        current: the same bins of newer weeks.

    Returns:
        DRIFT_SCHEMA, a row per week and column, sorted. psi_usual is the geometric mean over the reference's weeks;
        p_value is of the larger excess of PSI and KS, and is_drifted holds it against `level` over all columns
        (Bonferroni). fault says what is broken: rows, missing, unseen, scale or constant.

    Raises:
        BadFrame: a column of `current` is not in the reference.
    """
    strange = sorted(set(current[SUBJECT]) - set(reference[SUBJECT]))
    if strange:
        raise BadFrame(f"The reference has no histogram of {strange}.")
    subjects = sorted(set(reference[SUBJECT]))
    parts = [_of_column(name, reference, current, thresholds, len(subjects)) for name in subjects]
    return pl.concat(parts).sort(WEEK, SUBJECT) if parts else pl.DataFrame(schema=DRIFT_SCHEMA)


def _of_column(
    name: str, reference: pl.DataFrame, current: pl.DataFrame, thresholds: DriftThresholds, tests: int
) -> pl.DataFrame:
    own = reference.filter(pl.col(SUBJECT) == name)
    new = current.filter(pl.col(SUBJECT) == name)
    last = pl.concat([own[BIN], new[BIN]]).max()
    bins = max(int(last or 0) + 1, own[CATEGORY].n_unique() + 1)  # type: ignore[arg-type]  whole numbers
    known, weeks = _matrix(own, bins), new[WEEK].unique().sort()
    seen = _matrix(new, bins)
    pooled = known.counts.sum(axis=0), known.sums.sum(axis=0)
    others = pooled[0] - known.counts
    usual = [np.log(np.maximum(measure(others, known.counts), _LEAST_DISTANCE)) for measure in (psi, ks)]
    found = [measure(pooled[0], seen.counts) for measure in (psi, ks)]
    p_values = np.minimum(
        1.0, 2 * np.min([_p_value(u, f, thresholds) for u, f in zip(usual, found, strict=True)], axis=0)
    )
    shifts = [0.0 if known.is_text else wasserstein(_present(*pooled), _present(*row)) for row in _rows(seen)]
    rows = pl.DataFrame({
        WEEK: weeks,
        SUBJECT: [name] * len(weeks),
        "row_count": seen.counts.sum(axis=1).astype(np.int64),
        "missing_share": seen.counts[:, MISSING] / seen.counts.sum(axis=1),
        "psi": found[0],
        "psi_usual": np.full(len(weeks), np.exp(usual[0].mean())),
        "ks": found[1],
        "wasserstein": shifts,
        "p_value": p_values,
        "is_drifted": (p_values * tests <= thresholds.level) & (found[0] >= thresholds.least_psi),
        "fault": pl.Series(_faults(known, seen, np.asarray(shifts), thresholds), dtype=pl.String),
    })  # fmt: skip
    return rows.cast(pl.Schema(DRIFT_SCHEMA))


def _p_value(
    usual: NDArray[np.float64], found: NDArray[np.float64], thresholds: DriftThresholds
) -> NDArray[np.float64]:
    """The chance that one more usual week is as far (Student's t prediction of the logarithm, one-sided)."""
    count = len(usual)
    if count < thresholds.least_weeks:
        return np.ones(len(found))
    spread = max(float(usual.std(ddof=1)), thresholds.least_spread) * np.sqrt(1 + 1 / count)
    return stdtr(count - 1, -(np.log(np.maximum(found, _LEAST_DISTANCE)) - usual.mean()) / spread)


def _faults(
    known: _Column, seen: _Column, shifts: NDArray[np.float64], thresholds: DriftThresholds
) -> list[str | None]:
    """What is broken in each week of one column; None where nothing is."""
    before, now = (column.counts / column.counts.sum(axis=1, keepdims=True) for column in (known, seen))
    recent = known.counts[-thresholds.least_weeks :].sum(axis=1).min()
    found: list[str | None] = []
    for week, share in enumerate(now):
        unseen = 0.0 if not known.is_text else share[known.unseen] - before[:, known.unseen].max()
        marks = {
            "rows": seen.counts[week].sum() < thresholds.least_rows_share * recent,
            "missing": share[MISSING] > before[:, MISSING].max() + thresholds.missing_share,
            "unseen": unseen > thresholds.unseen_share,
            "scale": shifts[week] > thresholds.scale_shift,
            "constant": share.max() == 1.0 and before.max() < 1 - thresholds.missing_share,
        }
        found.append(next((mark for mark, is_met in marks.items() if is_met), None))
    return found


def _matrix(rows: pl.DataFrame, bins: int) -> _Column:
    weeks = rows[WEEK].rank("dense").cast(pl.Int64).to_numpy() - 1
    shape = (int(weeks.max()) + 1 if len(weeks) else 0, bins)
    counts, sums = np.zeros(shape), np.zeros(shape)
    counts[weeks, rows[BIN].to_numpy()] = rows["row_count"].to_numpy()
    sums[weeks, rows[BIN].to_numpy()] = rows["value_sum"].to_numpy()
    is_text = bool(rows[CATEGORY].is_not_null().any()) and not rows[UPPER].is_not_null().any()
    return _Column(counts, sums, is_text, bins - 1)


def _rows(column: _Column) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return list(zip(column.counts, column.sums, strict=True))


def _present(counts: NDArray[np.float64], sums: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    return np.delete(counts, MISSING), np.delete(sums, MISSING)


def _cumulated(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(np.cumsum(counts, axis=-1), total, out=np.zeros_like(counts), where=total > 0)


def error_drift(usual: Sequence[float], found: float) -> float | None:
    """The chance that a usual week's forecasts err as much beside the simple rule's as this week's did.

    Args:
        usual: log of (pinball loss of the model / of the simple rule), week by week of the backtest.
        found: the same of one week that has come true.

    Returns:
        One-sided, by Student's t prediction; None for fewer than three weeks, or where a loss was 0.
    """
    values = np.asarray(usual, dtype=np.float64)
    if len(values) < _LEAST_TESTED or not np.isfinite([*values, found]).all():
        return None
    spread = max(float(values.std(ddof=1)), _ERROR_SPREAD) * np.sqrt(1 + 1 / len(values))
    return float(stdtr(len(values) - 1, -(found - values.mean()) / spread))


def error_ratios(losses: pl.DataFrame, model: str, rule: str) -> pl.DataFrame:
    """How much more a model lost than a rule, week by week.

    Args:
        losses: week, method, pinball (mean loss of the week's rows; one row per week and method).
        model, rule: the two methods.

    Returns:
        week and log_ratio = ln(loss of the model / loss of the rule), sorted; weeks in which either lost nothing, or
        is absent, are left out.
    """
    sides = [losses.filter(pl.col("method") == name).select("week", loss="pinball") for name in (model, rule)]
    both = sides[0].join(sides[1], on="week", suffix="_rule").filter(pl.col("loss") > 0, pl.col("loss_rule") > 0)
    return both.select("week", log_ratio=(pl.col("loss") / pl.col("loss_rule")).log()).sort("week")
