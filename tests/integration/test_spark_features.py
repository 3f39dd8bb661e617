"""One definition, two executions: features computed by Spark's workers equal those computed in process."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import DataFrame

from checks.contracts.loader import load_contracts
from ml.features import compute_features
from resources.conform import conform
from resources.lake import Lake
from resources.spark_features import features_in_spark
from tests.unit.ml.demand_data import Demand, make_demand

pytestmark = pytest.mark.spark
CONTRACT = load_contracts()["gold", "demand_features"]
HORIZONS = (1, 2, 4)


@pytest.fixture(scope="module")
def demand() -> Demand:
    return make_demand(seed=11, weeks=40, stores=5, groups=3)


@pytest.fixture(scope="module")
def relations(lake: Lake, demand: Demand) -> tuple[DataFrame, DataFrame]:
    def relation(frame: pl.DataFrame) -> DataFrame:
        return lake.spark.createDataFrame(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))

    return relation(demand.series), relation(demand.plans)


def test_spark_gives_the_features_of_one_process(
    lake: Lake, demand: Demand, relations: tuple[DataFrame, DataFrame]
) -> None:
    cutoffs = demand.weeks[6:38:5]
    series, plans = relations
    past = series.where(f"week_start_date <= DATE'{max(cutoffs)}'")
    found = features_in_spark(lake.spark, past, plans, CONTRACT, cutoffs, HORIZONS)
    wanted = pl.from_arrow(conform(compute_features(demand.series, demand.plans, cutoffs, HORIZONS), CONTRACT))
    assert isinstance(wanted, pl.DataFrame)
    floats = [name for name, dtype in wanted.schema.items() if dtype == pl.Float64]
    assert_frame_equal(found, wanted, check_exact=True)
    assert wanted.select(pl.col(floats).is_not_null().sum()).row(0) > (0,) * len(floats)


def test_a_store_that_lacks_a_cutoff_has_no_row_there(
    lake: Lake, demand: Demand, relations: tuple[DataFrame, DataFrame]
) -> None:
    cutoff = demand.weeks[3]
    series, plans = relations
    late = demand.series["store_id"].max()
    past = series.where(f"week_start_date <= DATE'{cutoff}' AND store_id <> '{late}'")
    found = features_in_spark(lake.spark, past, plans, CONTRACT, [cutoff], HORIZONS)
    assert found.height > 0
    assert late not in found["store_id"]


def test_a_source_without_plans_has_none(lake: Lake, demand: Demand, relations: tuple[DataFrame, DataFrame]) -> None:
    cutoff = demand.weeks[9]
    past = relations[0].where(f"week_start_date <= DATE'{cutoff}'")
    found = features_in_spark(lake.spark, past, None, CONTRACT, [cutoff], HORIZONS)
    wanted = compute_features(demand.series, demand.plans.clear(), [cutoff], HORIZONS)
    assert found["display_share_target"].null_count() == wanted["display_share_target"].null_count() == wanted.height
