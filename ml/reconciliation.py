"""Forecasts that add up along a hierarchy.

Belongs here: the aggregate series of a hierarchy, reconciliation of their forecasts, and the proof that they add up.
Does not belong here: the base forecasts.

The arithmetic is hierarchicalforecast's, imported where it is called: it takes longer to import than most commands run.
Methods: `bottom_up`; `ols` (Hyndman, Ahmed, Athanasopoulos and Shang,
Computational Statistics and Data Analysis 55, 2011); `wls_struct`, which gives every series a variance in proportion to
the number of its bottom series (Athanasopoulos, Hyndman, Kourentzes and Petropoulos, Forecasting with temporal
hierarchies, European Journal of Operational Research 262, 2017); `mint_shrink` (Wickramasuriya, Athanasopoulos and
Hyndman, JASA 114, 2019), which needs fitted values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from ml.frame_checks import BadFrame, require_columns, require_unique

Method = Literal["bottom_up", "ols", "wls_struct", "mint_shrink"]
_KEY = ("unique_id", "ds")


class Incoherent(ValueError):
    """Forecasts of a hierarchy do not add up."""


@dataclass(frozen=True)
class Hierarchy:
    """All series of a hierarchy.

    Attributes:
        series: one row per (unique_id, ds): y DOUBLE. unique_id: see `unique_id`.
        summing: one row per unique_id, one column per bottom series: 1 where the bottom series is part of it.
        levels: name of a level (its columns joined by `/`) to its unique_ids.
    """

    series: pl.DataFrame
    summing: pl.DataFrame
    levels: Mapping[str, Sequence[str]]


def unique_id(level: Sequence[str]) -> pl.Expr:
    """The name of a series by the columns of its level, as Hive names partitions: `store=7/group=BEERS%2FALES`.

    A label may hold any character and two levels the same label: no two series share a name.
    """
    parts = [pl.concat_str(pl.lit(f"{column}="), _encoded(column)) for column in level]
    return pl.concat_str(parts, separator="/").alias("unique_id")


def _encoded(column: str) -> pl.Expr:
    text = pl.col(column).cast(pl.String)
    return text.str.replace_all("%", "%25", literal=True).str.replace_all("/", "%2F", literal=True)


def build_hierarchy(bottom: pl.DataFrame, levels: Sequence[Sequence[str]]) -> Hierarchy:
    """Sum bottom series over the labels of each level.

    Args:
        bottom: one row per (labels of the last level, ds): ds and y, no nulls.
        levels: columns of each level; the last one names the bottom series.

    Raises:
        BadFrame: columns are missing, keys repeat, or y is null or not finite.
    """
    labels = list(levels[-1])
    require_columns(bottom, (*labels, "ds", "y"), "bottom series")
    require_unique(bottom, (*labels, "ds"), "bottom series")
    if not bottom["y"].cast(pl.Float64).is_finite().fill_null(value=False).all():
        raise BadFrame("y of the bottom series holds nulls or values that are not finite.")
    from hierarchicalforecast.utils import aggregate

    # The library joins labels by "/" and takes the names apart again.
    frame: Any = bottom.with_columns(unique_id([column]).alias(column) for column in labels)
    summed: Any = aggregate(frame, [list(level) for level in levels])
    series, summing, tags = summed
    return Hierarchy(series, summing, {name: [str(item) for item in ids] for name, ids in tags.items()})


def reconcile(
    forecasts: pl.DataFrame, hierarchy: Hierarchy, method: Method, fitted: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Coherent forecasts of every series.

    Args:
        forecasts: one row per (unique_id, ds) of the hierarchy: `point` DOUBLE.
        hierarchy: from `build_hierarchy`.
        method: see the module.
        fitted: one row per (unique_id, ds) of the past: y and `point` as fitted; needed by mint_shrink.

    Returns:
        unique_id, ds, point, sorted.

    Raises:
        BadFrame: a series has no forecast, keys repeat, or fitted values are needed and absent.
        Incoherent: the result does not add up to within 1e-6 of the largest forecast.
    """
    require_columns(forecasts, (*_KEY, "point"), "forecasts")
    require_unique(forecasts, _KEY, "forecasts")
    absent = sorted(set(hierarchy.summing["unique_id"]) - set(forecasts["unique_id"]))
    if absent:
        raise BadFrame(f"{len(absent)} series of the hierarchy have no forecast, for example {absent[:2]}.")
    if method == "mint_shrink" and fitted is None:
        raise BadFrame("mint_shrink weights series by their errors: give fitted values.")
    past = None if fitted is None else fitted.select(*_KEY, "y", "point").drop_nulls()
    library = _library(method)
    tags = {name: np.array(ids, dtype=object) for name, ids in hierarchy.levels.items()}
    found = library.reconcile(Y_hat_df=forecasts.select(*_KEY, "point"), Y_df=past, S_df=hierarchy.summing, tags=tags)
    column = next(name for name in found.columns if name.startswith("point/"))
    result = found.select(*_KEY, pl.col(column).cast(pl.Float64).alias("point")).sort(_KEY)
    largest = max(1.0, float(result["point"].abs().max() or 0.0))  # type: ignore[arg-type]
    gap = incoherence(result, hierarchy)
    if gap > 1e-6 * largest:
        raise Incoherent(f"Reconciled forecasts miss their sums by up to {gap:.3g}.")
    return result


def _library(method: Method) -> Any:
    """Any: the library names its frames by a protocol that polars' own types do not meet."""
    from hierarchicalforecast.core import HierarchicalReconciliation
    from hierarchicalforecast.methods import BottomUp, MinTrace

    return HierarchicalReconciliation([BottomUp() if method == "bottom_up" else MinTrace(method)])


def incoherence(forecasts: pl.DataFrame, hierarchy: Hierarchy) -> float:
    """Largest difference between a series' forecast and the sum of its bottom series' forecasts, over all periods."""
    bottom = [name for name in hierarchy.summing.columns if name != "unique_id"]
    wide = forecasts.pivot(on="unique_id", index="ds", values="point").sort("ds")
    summing = hierarchy.summing.select(bottom).to_numpy()
    sums = wide.select(bottom).to_numpy() @ summing.T
    return float(np.abs(wide.select(hierarchy.summing["unique_id"].to_list()).to_numpy() - sums).max())
