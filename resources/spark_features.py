"""The demand features computed where the series are: one task per store, by the same code as in process.

Belongs here: shipping the core's code to the workers, what stores share as sums in Spark, the call per store. Does not
belong here: the features (ml.features), which rows are published (assets.gold).
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from checks.contracts.model import Contract
from checks.contracts.spark_schema import arrow_schema, column_ddl
from ml.features import FEATURE_KEY, compute_features
from ml.frame_checks import WEEK
from ml.surroundings import POOLS, Surroundings
from resources.conform import conform
from resources.settings import PROJECT_ROOT

SHIPPED = ("ml", "checks", "resources")


def features_in_spark(
    spark: SparkSession,
    series: DataFrame,
    plans: DataFrame | None,
    contract: Contract,
    cutoffs: Sequence[date],
    horizons: Sequence[int],
) -> pl.DataFrame:
    """`ml.features.compute_features`, store by store on the workers.

    Args:
        spark: the session. Its workers need the Python of this project with polars, coreforecast and pyarrow; our own
            code is sent to them.
        series: gold.demand_series up to the last cutoff.
        plans: gold.promotion_plans; None where the source plans no promotions.
        contract: of gold.demand_features.
        cutoffs, horizons: as of compute_features.

    Returns:
        What compute_features returns, equal to the last bit.
    """
    _ship(spark)
    if plans is None:
        # A series carries the promotions of its weeks: it has the columns of a plan.
        plans = series.where("FALSE")
    around = _surroundings(spark, series, plans)
    task = _per_store(around, contract, list(cutoffs), list(horizons))
    # By their bytes alone Spark would give all stores to one worker: their size says nothing of the work in them.
    spread = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    own, planned = (rows.repartition(spread, "store_id").groupBy("store_id") for rows in (series, plans))
    both = own.cogroup(planned)
    return _collected(both.applyInArrow(task, column_ddl(contract))).sort(FEATURE_KEY)


def _per_store(
    around: Surroundings, contract: Contract, cutoffs: list[date], horizons: list[int]
) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def features(series: pa.Table, plans: pa.Table) -> pa.Table:
        if not series.num_rows:
            return arrow_schema(contract).empty_table()
        rows = compute_features(_polars(series), _polars(plans), cutoffs, horizons, around=around)
        return conform(rows, contract)

    return features


def _polars(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _surroundings(spark: SparkSession, series: DataFrame, plans: DataFrame) -> Surroundings:
    """What ml.surroundings computes, summed in Spark; what comes back has a row per pool and week."""
    pools = {}
    for prefix, key in POOLS.items():
        columns = ", ".join([*key, WEEK])
        pools[prefix] = _collected(
            spark.sql(
                f"SELECT {columns}, SUM(transactions) FILTER (WHERE NOT is_partial_week) AS transactions "
                f"FROM {{series}} GROUP BY {columns} ORDER BY {columns}",
                series=series,
            )
        )
    planned = spark.sql(
        f"SELECT {WEEK}, MIN(known_at) AS first_planned_at FROM {{plans}} GROUP BY {WEEK} ORDER BY {WEEK}", plans=plans
    )
    return Surroundings(pools, _collected(planned))


def _collected(relation: DataFrame) -> pl.DataFrame:
    return _polars(relation.toArrow())


def _ship(spark: SparkSession) -> None:
    """Send our packages to the workers as one zip, named by its content, so that a session gets each version once."""
    files = sorted(path for name in SHIPPED for path in (PROJECT_ROOT / name).rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    name = f"liftlake-{digest}.zip"
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / name
        with zipfile.ZipFile(archive, "w") as packed:
            for path in files:
                packed.write(path, path.relative_to(PROJECT_ROOT))
        spark.addArtifacts(str(archive), pyfile=True)  # type: ignore[attr-defined]  Connect only
