"""The fit equals one with a dummy for every effect, and its errors the sums that their definition names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.elasticity_fit import Codes, NotEstimable, Values, fit_poisson, spread_left
from tests.conftest import tries

STORES, PRODUCTS, WEEKS = 7, 4, 9


def sample(seed: int) -> tuple[Values, Values, list[Codes]]:
    """Sparse counts that answer to two regressors; labels of store, product, week."""
    dice = np.random.default_rng(seed)
    grid = np.indices((STORES, PRODUCTS, WEEKS)).reshape(3, -1)
    regressors = dice.normal(size=(grid.shape[1], 2))
    level = dice.normal(size=STORES)[grid[0]] + dice.normal(size=WEEKS)[grid[2]] - 0.5
    outcome = dice.poisson(np.exp(level + regressors @ [-0.8, 0.4])).astype(np.float64)
    return outcome, regressors, [grid[0], grid[1], grid[2]]


def with_dummies(outcome: Values, regressors: Values, effects: list[Codes]) -> tuple[Values, Values, Values]:
    """Coefficients, scores and the inverse of the information by Newton's method on all dummies at once."""
    dummies = [labels[:, np.newaxis] == np.unique(labels) for labels in effects]
    design = np.column_stack([regressors, *(block.astype(np.float64) for block in dummies)])
    beta = np.zeros(design.shape[1])
    beta[regressors.shape[1] : regressors.shape[1] + dummies[0].shape[1]] = np.log(outcome.mean())
    for _ in range(40):
        mean = np.exp(design @ beta)
        step = np.linalg.pinv(design.T @ (design * mean[:, np.newaxis])) @ design.T @ (outcome - mean)
        beta += step
    mean = np.exp(design @ beta)
    bread = np.linalg.pinv(design.T @ (design * mean[:, np.newaxis]))
    return beta, design * (outcome - mean)[:, np.newaxis], bread


def meat_of(scores: Values, labels: list[tuple[int, ...]]) -> Values:
    sums: dict[tuple[int, ...], Values] = {}
    for score, label in zip(scores, labels, strict=True):
        sums[label] = sums.get(label, np.zeros(len(score))) + score
    return sum((np.outer(total, total) for total in sums.values()), np.zeros((scores.shape[1],) * 2))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_regression_with_all_dummies(seed: int) -> None:
    outcome, regressors, (store, product, week) = sample(seed)
    pair, store_week = store * PRODUCTS + product, store * WEEKS + week
    for effects in ([pair, week], [pair, store_week], [pair, store_week, product * WEEKS + week]):
        found = fit_poisson(outcome, regressors, effects, [store, product])
        kept = np.ones(len(outcome), dtype=bool)
        for _ in range(5):
            for labels in effects:
                kept &= np.bincount(labels, outcome * kept)[labels] > 0
        beta, scores, bread = with_dummies(outcome[kept], regressors[kept], [labels[kept] for labels in effects])
        assert found.row_count == kept.sum()
        assert found.coefficients == pytest.approx(beta[:2], abs=1e-6)
        stores, products = store[kept].tolist(), product[kept].tolist()
        ways = [
            [(label,) for label in stores],
            [(label,) for label in products],
            list(zip(stores, products, strict=True)),
        ]
        one, other, both = (np.diag(bread @ meat_of(scores, way) @ bread)[:2] for way in ways)
        wanted = PRODUCTS / (PRODUCTS - 1) * np.max([one, other, one + other - both], axis=0)
        assert found.errors == pytest.approx(np.sqrt(wanted), abs=1e-6)
        assert found.clusters == PRODUCTS


def test_one_way_of_clustering_is_the_sandwich() -> None:
    outcome, regressors, (store, product, week) = sample(5)
    effects = [store * PRODUCTS + product, week]
    found = fit_poisson(outcome, regressors, effects, [store])
    _, scores, bread = with_dummies(outcome, regressors, effects)
    wanted = STORES / (STORES - 1) * bread @ meat_of(scores, [(label,) for label in store.tolist()]) @ bread
    assert found.errors == pytest.approx(np.sqrt(np.diag(wanted)[:2]), abs=1e-6)


@settings(max_examples=tries(12, 100), deadline=None)
@given(st.floats(0.1, 50.0), st.integers(0, 1000))
def test_the_unit_and_what_effects_explain_do_not_matter(unit: float, seed: int) -> None:
    outcome, regressors, (store, product, week) = sample(7)
    effects = [store * PRODUCTS + product, week]
    plain = fit_poisson(outcome, regressors, effects, [store])
    dice = np.random.default_rng(seed)
    shift = dice.normal(size=effects[0].max() + 1)[effects[0]] + dice.normal(size=WEEKS)[week]
    moved = fit_poisson(outcome * unit, regressors + shift[:, np.newaxis], effects, [store])
    assert moved.coefficients == pytest.approx(plain.coefficients, abs=1e-6)
    assert moved.errors == pytest.approx(plain.errors, abs=1e-6)


def test_what_is_left_of_a_column_is_its_residual() -> None:
    outcome, regressors, (store, product, week) = sample(3)
    outcome += 1
    effects = [store * PRODUCTS + product, week]
    dummies = np.column_stack([labels[:, np.newaxis] == np.unique(labels) for labels in effects]).astype(np.float64)
    residual = regressors - dummies @ np.linalg.lstsq(dummies, regressors, rcond=None)[0]
    assert spread_left(outcome, regressors, effects) == pytest.approx(np.sqrt((residual**2).mean(axis=0)), abs=1e-9)


def test_what_rows_cannot_tell_is_refused() -> None:
    outcome, regressors, (store, product, week) = sample(1)
    effects = [store * PRODUCTS + product, week]
    with pytest.raises(NotEstimable, match="nothing was sold"):
        fit_poisson(outcome * 0, regressors, effects, [store])
    with pytest.raises(NotEstimable, match="does not vary beside the effects"):
        fit_poisson(outcome, np.column_stack([regressors, np.sqrt(week)]), effects, [store])
    with pytest.raises(NotEstimable, match="move together"):
        fit_poisson(outcome, np.column_stack([regressors, regressors[:, 0] + week]), effects, [store])
