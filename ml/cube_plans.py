"""What the plans say about a week: the product's own, its rivals', the weeks around it.

Belongs here: columns from prices and promotions alone. Does not belong here: anything that looks at demand.

Plans of the week after the target are used as far as the plan reaches: a price cut is often worth waiting for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.cube import Cube

Values = NDArray[np.float64]
_REFERENCE_WEEKS, _REFERENCE_QUANTILE = 8, 0.9
_LONG_WEEKS, _YEAR_WEEKS = 13, 52
_DISCOUNTED = -0.08
_BACK_WEEKS = 3
_NEVER = 60.0


@dataclass(frozen=True)
class PlanBook:
    """Plans of all weeks, (S, P, W) each.

    Attributes:
        promotions: as in the cube.
        log_price: as in the cube.
        discount: log price less its 0.9 quantile of the last eight weeks: 0 at the usual price, below at a cut.
        drivers: (S, P, W, K) of the linear response.
        columns: features that a target week has by itself.
        ahead: features that need the plan of the week after the target.
    """

    promotions: Mapping[str, Values]
    log_price: Values | None
    discount: Values | None
    drivers: Values
    columns: Mapping[str, Values]
    ahead: Mapping[str, Values]

    def at(self, target: int, last_planned: int) -> dict[str, Values]:
        """The plan features of a target week, (S, P) each; those ahead are NaN when the plan does not reach there."""
        found = {name: values[:, :, target] for name, values in self.columns.items()}
        for name, values in self.ahead.items():
            is_planned = target + 1 <= last_planned
            found[name] = values[:, :, target] if is_planned else np.full(values.shape[:2], np.nan)
        return found


def plan_book(cube: Cube, *, per_product: bool = True) -> PlanBook:
    """All plan columns of a cube.

    Args:
        cube: with promotions and, where they are planned, prices.
        per_product: whether every product's plan is a column for all products of the store.
    """
    discount = None if cube.log_price is None else _discount(cube.log_price)
    own = dict(cube.promotions) if discount is None else {"discount": discount, **cube.promotions}
    columns: dict[str, Values] = {}
    ahead: dict[str, Values] = {}
    for name, values in own.items():
        rivals = _rivals(name, values)
        columns |= {name: values, f"{name}_chain": np.broadcast_to(values.mean(axis=0)[np.newaxis], values.shape)}
        columns |= {f"{name}_back_{k}": _shifted(values, k) for k in range(1, _BACK_WEEKS + 1)}
        columns |= {f"rival_{name}": rivals, f"rival_{name}_back_1": _shifted(rivals, 1)}
        since = _weeks_since(_is_active(name, values))
        columns |= {f"{name}_mean_4": _mean_before(values, 4), f"weeks_since_{name}": since}
        ahead |= {f"{name}_ahead": _shifted(values, -1), f"rival_{name}_ahead": _shifted(rivals, -1)}
        if per_product:
            columns |= _by_product(cube, name, values)
    if cube.log_price is not None:
        columns |= _price_columns(cube.log_price)
        ahead["price_change_ahead"] = _shifted(cube.log_price, -1) - cube.log_price
        if per_product:
            columns |= _by_product(cube, "log_price", cube.log_price)
    drivers = _drivers(own, cube.log_price)
    return PlanBook(cube.promotions, cube.log_price, discount, drivers, columns, ahead)


def _discount(log_price: Values) -> Values:
    weeks = range(log_price.shape[2])
    windows = [log_price[:, :, max(0, week - _REFERENCE_WEEKS + 1) : week + 1] for week in weeks]
    return log_price - np.stack([np.quantile(window, _REFERENCE_QUANTILE, axis=2) for window in windows], axis=2)


def _price_columns(log_price: Values) -> dict[str, Values]:
    weeks, products = range(log_price.shape[2]), log_price.shape[1]
    long_median = np.stack([np.median(log_price[:, :, max(0, w - _LONG_WEEKS + 1) : w + 1], axis=2) for w in weeks], 2)
    year_low = np.stack([log_price[:, :, max(0, w - _YEAR_WEEKS + 1) : w + 1].min(axis=2) for w in weeks], 2)
    total = log_price.sum(axis=1, keepdims=True)
    return {
        "log_price": log_price,
        "price_change_1": log_price - _shifted(log_price, 1),
        "price_vs_median_13": log_price - long_median,
        "price_vs_low_52": log_price - year_low,
        "price_vs_chain": log_price - log_price.mean(axis=0)[np.newaxis],
        "price_vs_rivals": log_price - (total - log_price) / max(products - 1, 1),
        "price_rank": np.argsort(np.argsort(log_price, axis=1), axis=1).astype(np.float64),
        "cheapest_rival": _least_of_others(log_price),
    }


def _rivals(name: str, values: Values) -> Values:
    """The rivals' plans in the same store: the deepest discount of another product, or the sum of their promotions."""
    return _least_of_others(values) if name == "discount" else values.sum(axis=1, keepdims=True) - values


def _least_of_others(values: Values) -> Values:
    products = values.shape[1]
    if products == 1:
        return np.zeros_like(values)
    return np.stack([np.delete(values, product, axis=1).min(axis=1) for product in range(products)], axis=1)


def _by_product(cube: Cube, name: str, values: Values) -> dict[str, Values]:
    return {
        f"{name}_of_{product}": np.broadcast_to(values[:, position, np.newaxis], values.shape)
        for position, product in enumerate(cube.products)
    }


def _drivers(own: Mapping[str, Values], log_price: Values | None) -> Values:
    """Inputs of the linear response: own plans, their products, those of the weeks before, and every rival's."""
    names = list(own)
    columns = [own[name] for name in names]
    columns += [own[a] * own[b] for i, a in enumerate(names) for b in names[i + 1 :]]
    columns += [own["discount"] ** 2] if "discount" in own else []
    columns += [np.nan_to_num(_shifted(own[name], weeks)) for name in names for weeks in (1, 2)]
    plans = [*own.values()] if log_price is None else [log_price, *own.values()]
    columns += [log_price] if log_price is not None else []
    stores, products, weeks = plans[0].shape
    by_rival = []
    for plan in plans:
        others = np.broadcast_to(plan.transpose(0, 2, 1)[:, np.newaxis], (stores, products, weeks, products)).copy()
        others[:, np.arange(products), :, np.arange(products)] = 0.0
        by_rival.append(others)
    return np.concatenate([np.stack(columns, axis=-1), *by_rival], axis=-1)


def _is_active(name: str, values: Values) -> NDArray[np.bool_]:
    """Weeks with a price cut, or with more promotion than the product's mean so far over the chain."""
    if name == "discount":
        return values < _DISCOUNTED
    so_far = np.cumsum(values.mean(axis=0), axis=1) / np.arange(1, values.shape[2] + 1)
    return values > so_far[np.newaxis]


def _weeks_since(is_active: NDArray[np.bool_]) -> Values:
    """Weeks since the plan was last active before this week; capped."""
    result = np.full(is_active.shape, _NEVER)
    last = np.full(is_active.shape[:2], -_NEVER)
    for week in range(is_active.shape[2]):
        result[:, :, week] = np.minimum(week - last, _NEVER)
        last = np.where(is_active[:, :, week], float(week), last)
    return result


def _mean_before(values: Values, weeks: int) -> Values:
    """Mean over the `weeks` weeks before; NaN in the first week."""
    result = np.full(values.shape, np.nan)
    for week in range(1, values.shape[2]):
        result[:, :, week] = values[:, :, max(0, week - weeks) : week].mean(axis=2)
    return result


def _shifted(values: Values, weeks: int) -> Values:
    """The value `weeks` weeks before (after, when negative); NaN where that is outside."""
    result = np.full(values.shape, np.nan)
    if weeks > 0:
        result[:, :, weeks:] = values[:, :, :-weeks]
    else:
        result[:, :, :weeks] = values[:, :, -weeks:]
    return result
