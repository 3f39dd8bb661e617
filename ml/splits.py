"""Rolling-origin splits: what may be learned from, calibrated on and tested at each cutoff.

Belongs here: which pairs of cutoff and target week belong to which part. Does not belong here: rows, models.

Time runs in business weeks. At a cutoff c the outcome of target week t is known when t + gap <= c. For each fold
    test         pairs with cutoff c
    calibration  pairs whose target week is among the last k known ones
    training     pairs whose outcome was known when the first calibration forecast was made
    known        all pairs whose outcome is known at the cutoff
A model fitted on the training pairs forecasts the calibration pairs as honestly as a test pair; the model that is then
used is fitted on the known pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK
from ml.frame_checks import WEEK

_TARGET_WEEK = "target_week_start_date"


class SeriesTooShort(ValueError):
    """The covered weeks do not hold the folds that were asked for."""


@dataclass(frozen=True)
class Fold:
    """One origin.

    Attributes:
        cutoff: the week whose end is the moment of forecasting.
        train_cutoffs: cutoff weeks that may occur in training pairs, ascending.
        known_cutoffs: cutoff weeks that may occur in known pairs, ascending.
        calibration_cutoffs: cutoff weeks that may occur in calibration pairs, ascending.
        train_target_until: last target week of a training pair.
        calibration_target_from, calibration_target_until: first and last target week of a calibration pair.
    """

    cutoff: date
    train_cutoffs: tuple[date, ...]
    known_cutoffs: tuple[date, ...]
    calibration_cutoffs: tuple[date, ...]
    train_target_until: date
    calibration_target_from: date
    calibration_target_until: date

    @property
    def is_training(self) -> pl.Expr:
        """Condition on rows with week_start_date and target_week_start_date."""
        return pl.col(WEEK).is_in(self.train_cutoffs) & (pl.col(_TARGET_WEEK) <= self.train_target_until)

    @property
    def is_known(self) -> pl.Expr:
        """Condition on rows with week_start_date and target_week_start_date."""
        return pl.col(WEEK).is_in(self.known_cutoffs) & (pl.col(_TARGET_WEEK) <= self.calibration_target_until)

    @property
    def is_calibration(self) -> pl.Expr:
        """Condition on rows with week_start_date and target_week_start_date."""
        return pl.col(WEEK).is_in(self.calibration_cutoffs) & pl.col(_TARGET_WEEK).is_between(
            self.calibration_target_from, self.calibration_target_until
        )

    @property
    def is_test(self) -> pl.Expr:
        """Condition on rows with week_start_date."""
        return pl.col(WEEK) == self.cutoff


def rolling_origin(
    weeks: Sequence[date],
    folds: int,
    horizon: int,
    step: int,
    gap: int = 0,
    last_cutoff: date | None = None,
    *,
    calibration_weeks: int = 6,
    min_train_cutoffs: int = 10,
    train_step: int = 2,
) -> list[Fold]:
    """Folds in time order, `step` weeks apart, the last one at `last_cutoff`.

    Args:
        weeks: covered business weeks, contiguous.
        folds: number of folds, at least 1.
        horizon: largest horizon in weeks.
        step: weeks between the cutoffs of two folds.
        gap: weeks from the end of a week until its outcome is known.
        last_cutoff: cutoff of the last fold; by default the last week whose outcomes at every horizon are covered
            by `weeks`. A later one (the newest week, of which nothing is known yet) gives a fold to forecast with.
        calibration_weeks: target weeks to calibrate on, per horizon.
        min_train_cutoffs: least number of training cutoffs of the first fold.
        train_step: use every n-th training cutoff, counted back from the newest: neighbouring cutoffs share most of
            their windows, so that skipping some costs little accuracy and saves most of the time.

    Raises:
        SeriesTooShort: the first fold has too few training cutoffs, or a cutoff is not covered.
        ValueError: an argument is out of range or the weeks have holes.
    """
    ordered = _contiguous(weeks)
    if min(folds, horizon, step, calibration_weeks, min_train_cutoffs, train_step) < 1 or gap < 0:
        raise ValueError(
            "folds, horizon, step, calibration_weeks, min_train_cutoffs, train_step must be >= 1, gap >= 0."
        )
    if last_cutoff is None:
        last = len(ordered) - 1 - horizon - gap
    elif last_cutoff in ordered:
        last = ordered.index(last_cutoff)
    else:
        raise SeriesTooShort(f"The last cutoff {last_cutoff} is not among the weeks {ordered[0]} to {ordered[-1]}.")
    # The first calibration forecast is made calibration_weeks - 1 + horizon weeks before the last known target week.
    oldest_calibration = last - (folds - 1) * step - gap - (calibration_weeks - 1) - horizon
    train_cutoffs = _train_positions(oldest_calibration, gap, train_step)
    if len(train_cutoffs) < min_train_cutoffs:
        needed = len(ordered) + (min_train_cutoffs - 1) * train_step + 1 - (oldest_calibration - gap)
        raise SeriesTooShort(
            f"{len(ordered)} weeks give the first of {folds} folds {len(train_cutoffs)} training cutoffs and it needs "
            f"{min_train_cutoffs}. Cover {needed} weeks, or use fewer folds, calibration weeks or a smaller step."
        )
    positions = [last - step * back for back in reversed(range(folds))]
    return [_fold(ordered, at, horizon, gap, calibration_weeks, train_step) for at in positions]


def _fold(weeks: list[date], at: int, horizon: int, gap: int, calibration_weeks: int, train_step: int) -> Fold:
    last_known = at - gap
    known_cutoffs = range(last_known - 1, -1, -train_step)
    first_calibration_target = last_known - calibration_weeks + 1
    oldest_calibration = first_calibration_target - horizon
    return Fold(
        cutoff=weeks[at],
        train_cutoffs=tuple(weeks[i] for i in _train_positions(oldest_calibration, gap, train_step)),
        known_cutoffs=tuple(weeks[i] for i in sorted(known_cutoffs)),
        calibration_cutoffs=tuple(weeks[oldest_calibration:last_known]),
        train_target_until=weeks[oldest_calibration - gap],
        calibration_target_from=weeks[first_calibration_target],
        calibration_target_until=weeks[last_known],
    )


def _train_positions(oldest_calibration: int, gap: int, train_step: int) -> list[int]:
    return sorted(range(oldest_calibration - gap - 1, -1, -train_step))


def _contiguous(weeks: Sequence[date]) -> list[date]:
    ordered = sorted(weeks)
    one_week = timedelta(days=DAYS_PER_WEEK)
    if not ordered or any(after - before != one_week for before, after in pairwise(ordered)):
        raise ValueError("weeks must be contiguous business weeks, each once.")
    return ordered
