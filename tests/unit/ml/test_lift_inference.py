"""Intervals and p-values of a lift, against what scipy says and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ml.lift_inference import interval, p_value, placebo_in_space
from ml.lift_parts import Effects


def replicates(estimate: float, spread: float) -> np.ndarray:
    return np.concatenate([[estimate], np.random.default_rng(1).normal(estimate, spread, 20_000)])


def test_an_interval_is_that_of_student_with_the_replicates_error() -> None:
    estimate, lower, upper = interval(replicates(10.0, 2.0), 9, 0.9)
    half = 2.0 * np.sqrt(10 / 9) * stats.t.ppf(0.95, 9)
    assert (estimate, lower, upper) == pytest.approx((10.0, 10 - half, 10 + half), rel=0.02)


def test_the_p_value_belongs_to_the_interval_that_ends_at_zero() -> None:
    found = replicates(5.0, 2.0)
    p = p_value(found, 7)
    _, lower, _ = interval(found, 7, 1 - p)
    assert lower == pytest.approx(0, abs=1e-6)
    assert p_value(np.zeros(10), 7) == 1.0


def noise(seed: int, stores: int, effect: float) -> list[Effects]:
    """Two parts; half of the stores promoted, residuals by chance, the effect of the promoted ones on top."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(2):
        size = random.uniform(5, 50, stores)
        gaps = random.normal(0, np.sqrt(size))
        treated = np.arange(stores) < stores // 2
        total = size[treated].sum()
        level = gaps[~treated].sum() / size[~treated].sum()
        found = gaps[treated].sum() - level * total + effect * total
        residual, own = np.where(treated, 0, gaps - level * size), np.where(treated, 0, size)
        parts.append(Effects(np.array([found]), float(total), residual, own))
    return parts


@pytest.mark.parametrize(("effect", "least", "most"), [(0.0, 0.0, 0.1), (0.3, 0.9, 1.0)])
def test_a_placebo_in_space_rejects_chance_rarely_and_an_effect_mostly(
    effect: float, least: float, most: float
) -> None:
    untreated = np.arange(40) >= 20
    found = [placebo_in_space(noise(seed, 40, effect), untreated, 20, 1) for seed in range(200)]
    assert least <= np.mean(np.array(found) < 0.05) <= most
    assert min(found) >= 1 / 401
    assert effect > 0 or 0.4 < np.mean(found) < 0.6


def test_one_untreated_store_can_reject_nothing() -> None:
    assert placebo_in_space(noise(1, 4, 1.0), np.array([False, False, False, True]), 2, 1) == 1.0
