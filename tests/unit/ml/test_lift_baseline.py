"""The law of the counterfactual: what it predicts where nothing is random, and its likelihood equations where it is."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lift_baseline import fit_baseline, store_exponents, store_weights

STORES, WEEKS = 12, 40


@pytest.fixture(scope="module")
def law() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    level = np.exp(random.normal(3, 0.5, STORES))
    week = np.exp(0.3 * np.sin(np.arange(WEEKS) / 6))
    clean = (random.random((STORES, WEEKS)) > 0.2).astype(float)
    return level[:, None] * week, clean


def test_masked_cells_are_predicted_where_the_law_holds(law: tuple[np.ndarray, np.ndarray]) -> None:
    mean, clean = law
    touched = np.where(clean > 0, mean, 1e6)
    fitted = fit_baseline(touched, clean, np.ones_like(mean), np.ones((1, STORES)))
    assert fitted.expected(1 - clean)[0] == pytest.approx((mean * (1 - clean)).sum(axis=1), rel=1e-3)


def test_a_store_that_follows_the_season_more_is_told_from_one_that_follows_it_less() -> None:
    random = np.random.default_rng(2)
    exponent = np.linspace(0.4, 1.6, STORES)
    season = 0.4 * np.sin(np.arange(WEEKS) / 6)
    counts = random.poisson(200 * np.exp(exponent[:, None] * (season - season.mean()))).astype(float)
    found, common = store_exponents(counts, np.ones_like(counts))
    assert found == pytest.approx(exponent / exponent.mean(), abs=0.15)
    assert common.mean() == pytest.approx(0, abs=1e-9)
    flat, _ = store_exponents(np.full((STORES, WEEKS), 50.0), np.ones((STORES, WEEKS)))
    assert flat == pytest.approx(1.0)


def test_estimates_solve_the_equations_of_the_poisson_likelihood(law: tuple[np.ndarray, np.ndarray]) -> None:
    mean, clean = law
    counts = np.random.default_rng(3).poisson(mean).astype(float)
    weights = store_weights(STORES, 3, seed=1)
    fitted = fit_baseline(counts, clean, np.ones_like(mean), weights)
    for replicate, own in enumerate(weights):
        cells = fitted.store[replicate][:, None] * fitted.week[replicate] * clean
        assert cells.sum(axis=1) == pytest.approx((counts * clean).sum(axis=1))
        assert own @ cells == pytest.approx(own @ (counts * clean), rel=2e-2)


def test_treated_cells_do_not_move_their_own_prediction(law: tuple[np.ndarray, np.ndarray]) -> None:
    mean, clean = law
    counts = np.random.default_rng(4).poisson(mean).astype(float)
    other = np.where(clean > 0, counts, counts * 7 + 3)
    weights = store_weights(STORES, 5, seed=1)
    first = fit_baseline(counts, clean, np.ones_like(mean), weights).expected(1 - clean)
    second = fit_baseline(other, clean, np.ones_like(mean), weights).expected(1 - clean)
    assert np.array_equal(first, second)


def test_the_first_weights_are_the_estimate_and_the_same_seed_gives_the_same() -> None:
    weights = store_weights(STORES, 20_000, seed=5)
    assert (weights[0] == 1).all()
    assert weights[1:].mean() == pytest.approx(1, abs=0.01)
    assert weights[1:].std() == pytest.approx(1, abs=0.01)
    assert np.array_equal(weights, store_weights(STORES, 20_000, seed=5))


def test_weeks_and_stores_without_a_clean_sale_are_no_number_out_of_nothing() -> None:
    counts = np.zeros((4, 10))
    counts[0] = 3
    exponent, common = store_exponents(counts, np.ones_like(counts))
    fitted = fit_baseline(counts, np.ones_like(counts), np.exp(exponent[:, None] * common), np.ones((1, 4)))
    assert fitted.expected(np.ones_like(counts))[0] == pytest.approx([30, 0, 0, 0])
