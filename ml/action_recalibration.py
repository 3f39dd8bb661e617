"""Lift after what the hold-outs taught: the past and the experiments put together.

Belongs here: the lift of each arm from both sources. Does not belong here: either of them (lift, action_outcomes).

Lift from the past is of promotions as they were (with a price cut, where it fitted), a hold-out's of the activity as it
is advised; and what is advised was chosen for a high lift, which falls by that alone. So neither a plain average nor
the mean difference of both will do. A hierarchical normal model holds all arms at once:

    true lift of an arm          t ~ N(mean, between)
    lift from the past           l ~ N(t + shift, spread + its own variance)
    lift from its hold-outs      m ~ N(t, its own variance), where there are any

Both standard deviations are integrated out over a grid, under half-normal priors on the scale of the lifts found; mean
and shift have normal ones (Gelman and others, Bayesian Data Analysis, 2013, ch. 5). Which arms have hold-outs depends
on l alone, which is in the model, so that the choice does not bias it (missing at random: Rubin, Biometrika 63, 1976).
Before any hold-out the model draws the highest and the lowest lifts to their mean, as far as chance made them so. The
lift of net sales is a model of its own, by the same law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.action_outcomes import TO_DATE
from ml.actions_candidates import ARM_LIFT_SCHEMA, Z
from ml.actions_optimizer import ARM, TARGET_WEEK

Floats = NDArray[np.float64]
# Points; a lift that is told without any doubt still has a precision.
_LEAST_SD = 0.1
_LEAST_ARMS = 2
# Standard deviations in units of the scale of the lifts; the prior of their mean, in the same.
_GRID = np.geomspace(0.05, 3.0, 14)
_MEAN_SCALE = 3.0


@dataclass(frozen=True)
class _Arms:
    """past, past_variance; tried, tried_variance (NaN where there is no hold-out): one per arm, points."""

    past: Floats
    past_variance: Floats
    tried: Floats
    tried_variance: Floats


def recalibrated(lift: pl.DataFrame, evidence: pl.DataFrame) -> pl.DataFrame:
    """The measured lift of each arm after what the hold-outs taught, of it and of the others.

    Args:
        lift: see ml.actions_candidates.ARM_LIFT_SCHEMA.
        evidence: rows of ml.action_outcomes.OUTCOME_SCHEMA; the newest row to date of each arm counts.

    Returns:
        Columns of ARM_LIFT_SCHEMA, sorted by arm; a single arm without a hold-out keeps its lift.
    """
    columns = [f"measured_{name}lift_{part}" for name in ("", "sales_") for part in ("percent", "sd_percent")]
    newest = (
        evidence.filter((pl.col("period") == TO_DATE) & pl.col("measured_lift_percent").is_not_null())
        .sort(TARGET_WEEK)
        .unique(ARM, keep="last", maintain_order=True)
        .select(*ARM, *columns, more="base_transactions")
    )
    joined = lift.sort(ARM).join(newest, on=ARM, how="left", maintain_order="left")
    if joined["measured_lift_percent"].count() == 0 and joined.height < _LEAST_ARMS:
        return lift.sort(ARM).select(list(ARM_LIFT_SCHEMA))
    told = [*_told(joined, "lift_percent", ""), *_told(joined, "sales_lift_percent", "sales_")]
    return joined.with_columns(
        *told, base_transactions=pl.col("base_transactions") + pl.col("more").fill_null(0)
    ).select(list(ARM_LIFT_SCHEMA))


def _told(joined: pl.DataFrame, lift: str, prefix: str) -> list[pl.Series]:
    """The lift of one measure with its interval, by name."""
    past_sd = ((joined[f"{prefix}upper"] - joined[f"{prefix}lower"]) / (2 * Z)).to_numpy()
    measured_sd = joined[f"measured_{prefix}lift_sd_percent"].cast(pl.Float64).to_numpy()
    arms = _Arms(
        joined[lift].to_numpy(),
        np.maximum(past_sd, _LEAST_SD) ** 2,
        joined[f"measured_{lift}"].cast(pl.Float64).to_numpy(),
        np.maximum(measured_sd, _LEAST_SD) ** 2,
    )
    mean, variance = _posterior(arms)
    half = Z * np.sqrt(variance)
    ends = {lift: mean, f"{prefix}lower": mean - half, f"{prefix}upper": mean + half}
    return [pl.Series(name, values) for name, values in ends.items()]


def _posterior(arms: _Arms) -> tuple[Floats, Floats]:
    """Mean and variance of the true lift of each arm, over the grid of both standard deviations."""
    told = np.concatenate([arms.past, arms.tried])
    scale = max(float(told[~np.isnan(told)].std()), float(np.sqrt(arms.past_variance.mean())))
    grid = [(between, spread) for between in _GRID * scale for spread in _GRID * scale]
    found = [_given(arms, between, spread, scale) for between, spread in grid]
    prior = np.array([-(between**2 + spread**2) / (2 * scale**2) for between, spread in grid])
    log_weight = prior + np.array([evidence for *_, evidence in found])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    means, variances = (np.stack([item[place] for item in found]) for place in (0, 1))
    mean = weight @ means
    return mean, weight @ (variances + means**2) - mean**2


def _given(arms: _Arms, between: float, spread: float, scale: float) -> tuple[Floats, Floats, float]:
    """Mean and variance of the true lifts given both standard deviations, and the log evidence for these."""
    tried = np.flatnonzero(~np.isnan(arms.tried))
    count = len(arms.past)
    told = np.concatenate([arms.past, arms.tried[tried]])
    owner = np.concatenate([np.arange(count), tried])
    is_past = np.arange(len(told)) < count
    noise = np.concatenate([arms.past_variance + spread**2, arms.tried_variance[tried]])
    shared = (_MEAN_SCALE * scale) ** 2 + between**2 * (owner[:, None] == owner[None, :])
    covariance = shared + scale**2 * np.outer(is_past, is_past) + np.diag(noise)
    with_true = (_MEAN_SCALE * scale) ** 2 + between**2 * (np.arange(count)[:, None] == owner[None, :])
    factor = np.linalg.cholesky(covariance)
    half_told, half_true = np.linalg.solve(factor, told), np.linalg.solve(factor, with_true.T)
    variance = (_MEAN_SCALE * scale) ** 2 + between**2 - (half_true**2).sum(axis=0)
    evidence = -0.5 * float(half_told @ half_told) - float(np.log(np.diag(factor)).sum())
    return half_true.T @ half_told, variance, evidence
