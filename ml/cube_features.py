"""Features of a cutoff, a horizon and every series of a cube: level, plans, rivals, analogs, response.

Belongs here: what is computed from demand up to the cutoff and from plans up to the last planned week. Does not belong
here: the models that take them (ml.point_forecaster), the demo's feature table (ml.features).

Everything of the demand side works on `level`, demand on the scale that the model learns (log, log1p or sqrt).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.analogs import Plan, chain_analog, likeness, own_analog
from ml.cube import Cube, mean_without_warning
from ml.cube_plans import PlanBook, plan_book
from ml.frame_checks import BadFrame
from ml.response import fitted_response

Values = NDArray[np.float64]
Scale = Literal["log", "log1p", "sqrt"]
TO_LEVEL: Mapping[Scale, Callable[[Values], Values]] = {"log": np.log, "log1p": np.log1p, "sqrt": np.sqrt}
FROM_LEVEL: Mapping[Scale, Callable[[Values], Values]] = {"log": np.exp, "log1p": np.expm1, "sqrt": np.square}
ROW_KEY = ("store_id", "product_group", "cutoff_position", "horizon_weeks")
USUAL = "usual_level"
_SEASON_WEEKS = 52


@dataclass(frozen=True)
class AnalogSpec:
    """One analog: how old a week may be and how far its plan may lie from the target's, in multiples of the usual."""

    name: str
    half_life_weeks: float
    price_bandwidth: float


@dataclass(frozen=True)
class CubeFeatureSpec:
    """Which features are computed.

    Attributes:
        scale: of demand; `log` refuses zeros, `log1p` and `sqrt` take them.
        means: windows in weeks of the mean level; the longest is the usual level of a series.
        analogs: see AnalogSpec; none without plans.
        promotion_bandwidth: how far two weeks may differ in a promotion until their likeness falls to 1/e.
        is_season_known: whether the same week a year before may be used (needs more than a year of weeks).
        per_product_plans: whether the plan of each product of the store is a column of its own.
    """

    scale: Scale = "log"
    means: tuple[int, ...] = (4, 8, 13, 26, 52)
    analogs: tuple[AnalogSpec, ...] = (
        AnalogSpec("a", 26.0, 0.05),
        AnalogSpec("b", 8.0, 0.10),
        AnalogSpec("c", 78.0, 0.03),
    )
    promotion_bandwidth: Mapping[str, float] = field(default_factory=dict)
    is_season_known: bool = True
    per_product_plans: bool = True


def cube_features(cube: Cube, cutoffs: Sequence[int], horizons: Sequence[int], spec: CubeFeatureSpec) -> pl.DataFrame:
    """Feature rows of every series at each cutoff and horizon whose target week lies in the cube.

    A value at cutoff c uses demand of positions <= c only; plans are used up to the last of the horizons asked for.

    Args:
        cube: demand and plans.
        cutoffs: positions of cutoff weeks.
        horizons: weeks ahead, each at least 1.
        spec: which features.

    Returns:
        One row per ROW_KEY, sorted: store_id, product_group STRING, cutoff_position, horizon_weeks, target_position
        INT, `actual` DOUBLE units (null where unknown) and the features as FLOAT.

    Raises:
        BadFrame: there is nothing to compute, or demand holds zeros under the scale `log`.
    """
    if not cutoffs or not horizons or min(horizons) < 1 or min(cutoffs) < 0:
        raise BadFrame(f"Features need cutoffs and horizons of at least 1 week; got {list(cutoffs)}, {list(horizons)}.")
    if spec.scale == "log" and (cube.demand == 0).any():
        raise BadFrame("Demand holds zeros, which have no log: use the scale log1p or sqrt.")
    level = TO_LEVEL[spec.scale](cube.demand)
    book = plan_book(cube, per_product=spec.per_product_plans)
    frames = []
    for cutoff in sorted(set(cutoffs)):
        targets = [cutoff + horizon for horizon in sorted(set(horizons)) if cutoff + horizon < cube.shape[2]]
        past = _past(level, cutoff, spec)
        response = fitted_response(level, book.drivers, cutoff)
        past |= _residuals(level - response, cutoff)
        for target in targets:
            columns = past | book.at(target, last_planned=cutoff + max(horizons))
            columns |= {"response": response[:, :, target]}
            columns |= _analogs(level, book, cutoff, target, past[USUAL], spec)
            if spec.is_season_known:
                columns |= _last_season(level, level - response, cutoff, target)
            frames.append(_frame(cube, cutoff, target, columns))
    if not frames:
        raise BadFrame("No cutoff has a target week within the cube.")
    return pl.concat(frames).sort(ROW_KEY)


def feature_names(rows: pl.DataFrame) -> list[str]:
    """The columns of `cube_features` that a model takes."""
    return [name for name in rows.columns if name not in {*ROW_KEY, "target_position", "actual"}] + ["horizon_weeks"]


def _past(level: Values, cutoff: int, spec: CubeFeatureSpec) -> dict[str, Values]:
    known = level[:, :, : cutoff + 1]
    columns = {f"level_lag_{k}": known[:, :, cutoff - k] for k in range(4) if k <= cutoff}
    columns |= {f"level_mean_{weeks}": mean_without_warning(known[:, :, -weeks:], axis=2) for weeks in spec.means}
    columns[USUAL] = columns[f"level_mean_{max(spec.means)}"]
    recent = known[:, :, -13:]
    count = (~np.isnan(recent)).sum(axis=2)
    columns["level_std_13"] = np.where(count > 1, np.sqrt(_variance(recent)), np.nan)
    for name, level_of in (("min", np.fmin), ("max", np.fmax)):
        columns[f"level_{name}_13"] = level_of.reduce(recent, axis=2)
    by_store = mean_without_warning(known, axis=1)[:, np.newaxis]
    by_product = mean_without_warning(known - columns[USUAL][:, :, np.newaxis], axis=0)[np.newaxis]
    for weeks in (1, 4, 13):
        store = mean_without_warning(by_store[..., -weeks:], axis=2) - mean_without_warning(by_store[..., -52:], axis=2)
        columns[f"store_change_{weeks}"] = np.broadcast_to(store, known.shape[:2])
        product = mean_without_warning(by_product[..., -weeks:], axis=2)
        columns[f"product_change_{weeks}"] = np.broadcast_to(product, known.shape[:2])
    columns["store_level"] = np.broadcast_to(mean_without_warning(columns[USUAL], axis=1)[:, None], known.shape[:2])
    return columns


def _variance(values: Values) -> Values:
    return mean_without_warning((values - mean_without_warning(values, axis=2)[..., np.newaxis]) ** 2, axis=2)


def _residuals(residual: Values, cutoff: int) -> dict[str, Values]:
    """How demand of the last weeks stood against the response to their plans: own, the store's, the product's."""
    known = residual[:, :, : cutoff + 1]
    by_store, by_product = mean_without_warning(known, axis=1), mean_without_warning(known, axis=0)
    columns: dict[str, Values] = {}
    for weeks in (1, 2, 4, 8):
        columns[f"residual_{weeks}"] = mean_without_warning(known[:, :, -weeks:], axis=2)
        store = mean_without_warning(by_store[:, -weeks:], axis=1)[:, np.newaxis]
        product = mean_without_warning(by_product[:, -weeks:], axis=1)[np.newaxis]
        columns[f"store_residual_{weeks}"] = np.broadcast_to(store, known.shape[:2])
        columns[f"product_residual_{weeks}"] = np.broadcast_to(product, known.shape[:2])
    return columns


def _analogs(
    level: Values, book: PlanBook, cutoff: int, target: int, usual: Values, spec: CubeFeatureSpec
) -> dict[str, Values]:
    columns: dict[str, Values] = {}
    for analog in spec.analogs:
        plans = [Plan(values, spec.promotion_bandwidth.get(name, 0.5)) for name, values in book.promotions.items()]
        if book.log_price is not None and book.discount is not None:
            plans.append(Plan(book.log_price, analog.price_bandwidth))
            plans.append(Plan(book.discount, 2 * analog.price_bandwidth))
        weights = likeness(plans, cutoff, target, analog.half_life_weeks)
        own, evidence = own_analog(level, weights)
        chain = chain_analog(level, weights, usual)
        columns |= {
            f"analog_{analog.name}": own,
            f"analog_evidence_{analog.name}": evidence,
            f"chain_analog_{analog.name}": chain,
            f"analog_lift_{analog.name}": own - usual,
            f"chain_analog_lift_{analog.name}": chain - usual,
            f"rival_lift_{analog.name}": _rival_lift(chain, usual),
        }
    return columns


def _rival_lift(expected: Values, usual: Values) -> Values:
    """Log of what the other products of the store are expected to sell over what they usually sell."""
    lifted, normal = np.exp(np.nan_to_num(expected)), np.exp(np.nan_to_num(usual))
    others = [values.sum(axis=1, keepdims=True) - values for values in (lifted, normal)]
    return np.log(np.maximum(others[0], 1e-9)) - np.log(np.maximum(others[1], 1e-9))


def _last_season(level: Values, residual: Values, cutoff: int, target: int) -> dict[str, Values]:
    ago = target - _SEASON_WEEKS
    absent = np.full(level.shape[:2], np.nan)
    if ago < 0:
        return {"season_level": absent, "season_mean_3": absent, "season_product_residual": absent}
    around = slice(max(0, ago - 1), min(ago + 2, cutoff + 1))
    by_product = mean_without_warning(residual[:, :, around], axis=(0, 2))
    return {
        "season_level": level[:, :, ago],
        "season_mean_3": mean_without_warning(level[:, :, around], axis=2),
        "season_product_residual": np.broadcast_to(by_product[np.newaxis], absent.shape),
    }


def _frame(cube: Cube, cutoff: int, target: int, columns: Mapping[str, Values]) -> pl.DataFrame:
    stores, products, _ = cube.shape
    shape = (stores, products)
    numbers = {name: np.broadcast_to(values, shape).ravel() for name, values in columns.items()}
    frame = pl.DataFrame({
        "store_id": np.repeat(np.array(cube.stores, dtype=object), products).tolist(),
        "product_group": list(cube.products) * stores,
        "actual": cube.demand[:, :, target].ravel(),
        "store_index": np.repeat(np.arange(stores, dtype=np.float64), products),
        "product_index": np.tile(np.arange(products, dtype=np.float64), stores),
        "week_of_season": np.full(stores * products, float(target % _SEASON_WEEKS)),
        **numbers,
    })  # fmt: skip
    as_float = [pl.col(name).cast(pl.Float32) for name in frame.columns[3:]]
    return frame.select(
        "store_id",
        "product_group",
        pl.lit(cutoff, dtype=pl.Int32).alias("cutoff_position"),
        pl.lit(target - cutoff, dtype=pl.Int32).alias("horizon_weeks"),
        pl.lit(target, dtype=pl.Int32).alias("target_position"),
        pl.col("actual").fill_nan(None),
        *as_float,
    )
