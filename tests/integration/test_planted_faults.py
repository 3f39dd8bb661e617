"""12,345 faults among 10 million rows: exactly those rows are found, by the rule each one breaks, in little memory."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pandera.pyspark import Check, Column, DataFrameSchema
from pyspark.sql import types as spark_types

from benchmarks.memory import MemoryWatch
from checks.contracts.plan import compile_plan
from resources import spark_server
from resources.lake import Lake
from resources.spark import SparkDoor
from resources.validation import audit, with_broken_rules
from tests.conftest import throwaway_settings

pytestmark = [pytest.mark.spark, pytest.mark.certify]
ROWS, FAULTS, SEED = 10_000_000, 12_345, 20171204
# Rule -> the column that a fault of it changes, and to what.
PLANTED = {
    "store_not_null": ("store", "CAST(NULL AS STRING)"),
    "store_pattern": ("store", "'s1x'"),
    "units_range": ("units", "-1L"),
    "price_range": ("price", "CAST(-0.0001 AS DECIMAL(18, 4))"),
    "price_not_null": ("price", "CAST(NULL AS DECIMAL(18, 4))"),
}
SCHEMA = DataFrameSchema(
    {
        "id": Column(spark_types.LongType(), nullable=False),
        "store": Column(
            spark_types.StringType(), checks=[Check.str_matches("^s[0-9]+$", name="store_pattern")], nullable=False
        ),
        "units": Column(spark_types.LongType(), checks=[Check.in_range(0, 100, name="units_range")], nullable=False),
        "price": Column(spark_types.DecimalType(18, 4), checks=[Check.ge(0, name="price_range")], nullable=False),
    },
    name="planted",
    strict=True,
    ordered=True,
)


@pytest.fixture
def small_lake(tmp_path: Path) -> Iterator[Lake]:
    """A server with 1 GB of heap, which nobody else uses."""
    settings = throwaway_settings(tmp_path / "home").model_copy(update={"spark_memory": "1g"})
    lake = Lake(settings, SparkDoor(settings))
    lake.prepare()
    yield lake
    lake.close()
    spark_server.stop(settings)


def test_exactly_the_planted_rows_are_found(small_lake: Lake):
    dice = random.Random(SEED)
    planted = {row: dice.choice(sorted(PLANTED)) for row in dice.sample(range(ROWS), FAULTS)}
    spark, plan = small_lake.spark, compile_plan(SCHEMA)
    spark.createDataFrame(pa.table({"at": list(planted), "fault": list(planted.values())})).createOrReplaceTempView("f")
    values = {"store": "CONCAT('s', id % 500)", "units": "id % 101", "price": "CAST(id % 9999 AS DECIMAL(18, 4))"}
    for fault, (column, value) in PLANTED.items():
        values[column] = f"IF(fault <=> '{fault}', {value}, {values[column]})"
    columns = ", ".join(f"{value} AS {name}" for name, value in values.items())
    with MemoryWatch(small_lake.settings.home, with_self=True) as memory:
        spark.sql(
            f"CREATE TABLE bronze.planted USING delta AS SELECT id, {columns} FROM RANGE({ROWS}) LEFT JOIN f ON id = at"
        )
        verdict = audit(spark, "bronze.planted", plan)
        broken = with_broken_rules(spark.table("bronze.planted"), plan).filter("size(_broken_rules) > 0")
        broken.select("id", "_broken_rules").write.format("delta").saveAsTable("bronze.found")
        peak = memory.peak_mb()
    found = small_lake.query("SELECT id, _broken_rules AS rules FROM bronze.found")
    assert verdict.row_count == ROWS
    assert {row["id"]: row["rules"] for row in found.iter_rows(named=True)} == {
        row: [fault] for row, fault in planted.items()
    }
    assert found.height == FAULTS
    assert {result.rule_id: result.failing_rows for result in verdict.failures} == Counter(planted.values())
    print(f"{FAULTS:,} of {ROWS:,} rows found, peak of Python and JVM together {peak:,} MB")  # noqa: T201
    assert 0 < peak < 2_000
