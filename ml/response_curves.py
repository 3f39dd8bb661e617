"""Curves of demand over the levels of a price or promotion that were observed.

Belongs here: from responses to rows. Does not belong here: estimates (ml.elasticity), drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ml.elasticity import Response

CURVE_SCHEMA: dict[str, pl.DataType] = {
    "product_group": pl.String(),
    "lever": pl.String(),
    "level": pl.Float64(),
    "demand_index": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "effect": pl.Float64(),
    "effect_lower": pl.Float64(),
    "effect_upper": pl.Float64(),
    "status": pl.String(),
    "reason": pl.String(),
    "row_count": pl.Int64(),
    "transactions": pl.Int64(),
    "store_count": pl.Int64(),
    "week_count": pl.Int64(),
    "cluster_count": pl.Int64(),
}
_FACTS = ("product_group", "lever", *list(CURVE_SCHEMA)[6:])


def response_curves(responses: Sequence[Response], points: int = 9) -> pl.DataFrame:
    """The curve of every response, at `points` levels between the least and the greatest, and at the usual one.

    Returns:
        Columns of CURVE_SCHEMA, one row per product_group, lever and level, sorted. level: price over the usual price,
        or share of the group's products promoted; demand_index: demand over that at the usual price (1) or without such
        a promotion (0), with its interval. A refused response has that one row, where the index is 1 by definition.
    """
    rows = [_row(found, level) for found in responses for level in _levels(found, points)]
    return pl.DataFrame(rows, schema=CURVE_SCHEMA).sort("product_group", "lever", "level")


def _row(found: Response, level: float) -> dict[str, object]:
    step = float(np.log(level)) if found.lever == "price" else level
    effects = (found.effect, found.effect_lower, found.effect_upper)
    index, *ends = (float(np.exp(step * (effect or 0.0))) for effect in effects)
    facts = {name: getattr(found, name) for name in _FACTS}
    return {**facts, "level": level, "demand_index": index, "lower": min(ends), "upper": max(ends)}


def _levels(found: Response, points: int) -> list[float]:
    usual = 1.0 if found.lever == "price" else 0.0
    if found.low is None or found.high is None:
        return [usual]
    return sorted({usual, *(float(level) for level in np.linspace(found.low, found.high, points))})
