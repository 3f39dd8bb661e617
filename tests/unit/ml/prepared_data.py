"""What the session's shared fixtures hold."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ml.splits import Fold
from ml.training import TrainConfig
from tests.unit.ml.demand_data import Demand

HORIZONS = (1, 2)
SMALL = TrainConfig(iterations=8, depth=3, learning_rate=0.3, thread_count=1)


@dataclass(frozen=True)
class Prepared:
    demand: Demand
    features: pl.DataFrame
    labels: pl.DataFrame
    rows: pl.DataFrame
    folds: tuple[Fold, ...]
