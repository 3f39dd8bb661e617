"""What the session's shared fixtures hold."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ml.splits import Fold
from ml.training import TrainConfig
from tests.unit.ml.demand_data import Demand

HORIZONS = (1, 2)
SMALL = TrainConfig(iterations=8, depth=3, learning_rate=0.3, thread_count=1)
# The rows of `scored` once per slice that they are in, as SQL has it.
SLICED_SQL = """
    SELECT *, 'all' AS slice FROM scored UNION ALL
    SELECT *, 'promotion' FROM scored WHERE is_promotion UNION ALL
    SELECT *, 'base' FROM scored WHERE NOT is_promotion UNION ALL
    SELECT *, 'censored' FROM scored WHERE censoring IS NOT NULL UNION ALL
    SELECT *, volume_class FROM scored UNION ALL
    SELECT *, product_group FROM scored
"""


@dataclass(frozen=True)
class Prepared:
    demand: Demand
    features: pl.DataFrame
    labels: pl.DataFrame
    rows: pl.DataFrame
    folds: tuple[Fold, ...]
