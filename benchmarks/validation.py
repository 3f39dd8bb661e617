"""Single-pass validation against one hand-written aggregate and against Pandera itself: 50 rules, 5 million rows.

Belongs here: the table with its planted faults, the three contestants and that their outcomes agree. Does not belong
here: how it is timed (side_by_side).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from datetime import date
from typing import Any

from pandera.pyspark import Check, Column, DataFrameSchema
from pyspark.sql import types as spark_types

from benchmarks.memory import MemoryWatch
from benchmarks.program import Options
from benchmarks.side_by_side import alternate, rivals, throwaway_lake
from checks.contracts.plan import compile_plan
from resources.lake import Lake
from resources.settings import exported
from resources.validation import audit

ROWS, REPETITIONS = 5_000_000, 3
OURS = "single pass"
TEXTS, KINDS, AMOUNTS, COUNTS, DAYS = (
    [f"{name}_{index}" for index in range(many)]
    for name, many in (("text", 5), ("kind", 3), ("amount", 5), ("count", 4), ("day", 2))
)
FIRST, LAST = date(2017, 1, 1), date(2017, 12, 31)
PATTERN = "^[a-z]{2}[0-9]{6}$"
# Column -> SQL of its faulty value over the row number `id`, and every how many rows it stands.
FAULTS: Mapping[str, tuple[str, int]] = {
    "text_0": ("CAST(NULL AS STRING)", 100_003),
    "kind_2": ("'z'", 50_021),
    "amount_1": ("CAST(-0.0001 AS DECIMAL(18, 4))", 70_001),
    "count_3": ("101L", 90_001),
    "day_1": ("DATE'2018-01-01'", 30_011),
}


def bench_validation(_options: Options) -> dict[str, Any]:
    """Time `audit` on 50 rules over 5 million rows by 20 columns; the result is the object of `bench --json`.

    All three read the same Parquet file. Rule by rule, the failing rows equal those of the hand-written aggregate, and
    the rules that fail are those that fail in Pandera, which counts no rows.
    """
    began = time.monotonic()
    with throwaway_lake() as lake, MemoryWatch(lake.settings.home, with_self=True) as memory:
        bench = _Bench(lake)
        contestants = {OURS: bench.single_pass, "one aggregate": bench.aggregate, "pandera.pyspark": bench.pandera}
        # Pandera takes pyspark's classic functions unless this says that there is no JVM in the process.
        with exported("SPARK_CONNECT_MODE_ENABLED", "1"):
            bench.require_same_outcomes()
            seconds = alternate(contestants, REPETITIONS, warm_ups=0)
        peak, threads = memory.peak_mb(), lake.settings.threads
    return {
        "name": "validation",
        "configuration": {
            "threads": threads, "rows": ROWS, "columns": len(bench.schema.columns), "rules": len(bench.plan.row_rules),
            "rules_that_fail": len(FAULTS), "repetitions": REPETITIONS,
        },
        "metrics": {
            "single_pass_seconds": round(statistics.median(seconds[OURS]), 3),
            "rows_per_second": round(ROWS / statistics.median(seconds[OURS])),
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": rivals(seconds, OURS),
    }  # fmt: skip


class _Bench:
    """The table and the three contestants. Each returns rule id -> failing rows (Pandera: 1) of rules that fail."""

    def __init__(self, lake: Lake) -> None:
        self._spark = lake.spark
        self.schema = rules_of_the_table()
        self.plan = compile_plan(self.schema)
        assert len(self.plan.row_rules) == 50
        path = f"{lake.settings.warehouse}/_bench.parquet"
        self._spark.sql(table_sql()).write.parquet(path)
        self._relation = f"parquet.`{path}`"

    def single_pass(self) -> dict[str, int]:
        verdict = audit(self._spark, self._relation, self.plan)
        return {result.rule_id: result.failing_rows for result in verdict.failures}

    def aggregate(self) -> dict[str, int]:
        row = self._spark.sql(hand_written_sql(self._relation)).collect()[0]
        return {name: count for name, count in row.asDict().items() if count}

    def pandera(self) -> dict[str, int]:
        # Without the order of the columns, which is no rule about rows.
        found: Any = rules_of_the_table(is_ordered=False).validate(self._spark.sql(f"SELECT * FROM {self._relation}"))
        reports = [report for kind in found.pandera.errors.values() for part in kind.values() for report in part]
        return {
            f"{report['column']}_not_null" if report["check"] == "not_nullable" else report["check"]: 1
            for report in reports
        }

    def require_same_outcomes(self) -> None:
        """Raise AssertionError when the contestants disagree, or on other faults than were planted."""
        ours, written, panderas = self.single_pass(), self.aggregate(), self.pandera()
        assert ours == written, f"failing rows differ: {ours} and {written}"
        assert set(ours) == set(panderas), f"rules differ: {sorted(ours)} and {sorted(panderas)}"
        assert sorted(ours.values()) == sorted(-(-ROWS // every) for _, every in FAULTS.values())


def rules_of_the_table(*, is_ordered: bool = True) -> DataFrameSchema:
    """20 columns with 50 rules: 20 not null, 6 lengths, 5 patterns, 3 enumerations, 16 bounds."""

    def named(rule_id: str) -> dict[str, Any]:
        return {"name": rule_id, "error": rule_id}

    kinds: dict[str, tuple[Any, list[Check]]] = {}
    for name in TEXTS:
        checks = [Check.str_matches(PATTERN, **named(f"{name}_pattern"))]
        checks += [Check.str_length(8, 8, **named(f"{name}_length"))]
        kinds[name] = (spark_types.StringType(), checks)
    for name in KINDS:
        kinds[name] = (spark_types.StringType(), [Check.isin(["a", "b", "c", "d"], **named(f"{name}_enum"))])
    kinds["kind_0"][1].append(Check.str_length(1, 1, **named("kind_0_length")))
    for name in AMOUNTS:
        checks = [Check.ge(0, **named(f"{name}_least")), Check.le(1000, **named(f"{name}_most"))]
        kinds[name] = (spark_types.DecimalType(18, 4), checks)
    for name in COUNTS:
        kinds[name] = (spark_types.LongType(), [Check.in_range(0, 100, **named(f"{name}_range"))])
    for name in DAYS:
        kinds[name] = (spark_types.DateType(), [Check.in_range(FIRST, LAST, **named(f"{name}_range"))])
    kinds["flag"] = (spark_types.BooleanType(), [])
    columns = {name: Column(kind, checks=checks, nullable=False) for name, (kind, checks) in kinds.items()}
    return DataFrameSchema(columns, name="bench", strict=True, ordered=is_ordered)


def hand_written_sql(relation: str) -> str:
    """What somebody writes who wants the counts of these rules in one query."""
    parts = [f"COUNT_IF({name} IS NULL) AS {name}_not_null" for name in (*TEXTS, *KINDS, *AMOUNTS, *COUNTS, *DAYS)]
    parts += ["COUNT_IF(flag IS NULL) AS flag_not_null"]
    for name in TEXTS:
        parts += [f"COUNT_IF(NOT {name} RLIKE '{PATTERN}') AS {name}_pattern"]
        parts += [f"COUNT_IF(LENGTH({name}) <> 8) AS {name}_length"]
    parts += [f"COUNT_IF({name} NOT IN ('a', 'b', 'c', 'd')) AS {name}_enum" for name in KINDS]
    parts += ["COUNT_IF(LENGTH(kind_0) <> 1) AS kind_0_length"]
    for name in AMOUNTS:
        parts += [f"COUNT_IF({name} < 0) AS {name}_least", f"COUNT_IF({name} > 1000) AS {name}_most"]
    parts += [f"COUNT_IF({name} NOT BETWEEN 0 AND 100) AS {name}_range" for name in COUNTS]
    parts += [f"COUNT_IF({name} NOT BETWEEN DATE'{FIRST}' AND DATE'{LAST}') AS {name}_range" for name in DAYS]
    return f"SELECT {', '.join(parts)} FROM {relation}"


def table_sql() -> str:
    """5 million rows of good values, spread by hashes of the row number, with the planted faults."""
    spread = "PMOD(XXHASH64(id, '{name}'), {upto})"
    good = {name: f"CONCAT('ab', LPAD({spread.format(name=name, upto=900_000)}, 6, '0'))" for name in TEXTS}
    good |= {name: f"ELEMENT_AT(ARRAY('a', 'b', 'c', 'd'), CAST({spread.format(name=name, upto=4)} + 1 AS INT))"
             for name in KINDS}  # fmt: skip
    good |= {name: f"CAST({spread.format(name=name, upto=10_000_000)} / 10000 AS DECIMAL(18, 4))" for name in AMOUNTS}
    good |= {name: spread.format(name=name, upto=101) for name in COUNTS}
    good |= {name: f"DATE_ADD(DATE'{FIRST}', CAST({spread.format(name=name, upto=365)} AS INT))" for name in DAYS}
    good |= {"flag": "id % 2 = 0"}
    for name, (faulty, every) in FAULTS.items():
        good[name] = f"IF(id % {every} = 0, {faulty}, {good[name]})"
    return f"SELECT {', '.join(f'{sql} AS {name}' for name, sql in good.items())} FROM RANGE({ROWS})"
