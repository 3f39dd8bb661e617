"""The synthetic store: weights that are weights, of the stores that sell like the promoted ones."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lift_synthetic import donor_weights, synthetic_week

WEEKS = 48


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Stores 0 to 3 promoted, 4 to 9 with their season, 10 to 15 with the opposite one."""
    random = np.random.default_rng(1)
    season = np.sin(np.arange(WEEKS) / 7)
    sign = np.where(np.arange(16) < 10, 1, -1)
    return random.poisson(80 * np.exp(0.4 * sign[:, None] * season)).astype(float)


TREATED = (np.arange(16) < 4).astype(float)


def test_weights_sum_to_one_and_leave_out_the_promoted_stores(counts: np.ndarray) -> None:
    weights = donor_weights(counts, np.ones_like(counts), TREATED, 1.0)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert (weights[:4] == 0).all()


def test_stores_that_sell_like_the_promoted_ones_get_the_weight(counts: np.ndarray) -> None:
    weights = donor_weights(counts, np.ones_like(counts), TREATED, 1.0)
    assert weights[4:10].sum() > 0.9


def test_the_weight_does_not_hang_on_a_stores_size(counts: np.ndarray) -> None:
    larger = counts * np.where(np.arange(16) % 2, 5, 1)[:, None]
    weights = donor_weights(larger, np.ones_like(counts), TREATED, 1.0)
    assert weights[4:10].sum() > 0.9


def test_sparse_stores_are_pooled_and_not_fitted_to_their_noise() -> None:
    random = np.random.default_rng(2)
    sparse = random.poisson(0.7, (30, WEEKS)).astype(float)
    weights = donor_weights(sparse, np.ones_like(sparse), (np.arange(30) < 10).astype(float), 1.0)
    assert 1 / (weights**2).sum() > 8


def test_promoted_cells_do_not_move_the_weights(counts: np.ndarray) -> None:
    clean = np.ones_like(counts)
    clean[:4, 20:23] = 0
    bumped = np.where(clean > 0, counts, counts * 9)
    assert np.allclose(donor_weights(bumped, clean, TREATED, 1.0), donor_weights(counts, clean, TREATED, 1.0))


def test_without_a_donor_there_is_no_weight(counts: np.ndarray) -> None:
    assert donor_weights(counts, np.ones_like(counts), np.ones(16), 1.0).sum() == 0


def test_a_synthetic_week_is_the_weighted_mean_of_relative_sales() -> None:
    counts, clean = np.array([[2.0, 4.0], [9.0, 3.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])
    found = synthetic_week(counts, clean, np.array([2.0, 3.0]), np.array([[0.25, 0.75]]))
    assert found[0] == pytest.approx([0.25 * 1 + 0.75 * 3, 2.0])
