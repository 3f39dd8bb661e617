"""The plan: what it finds in a Pandera schema, that nothing is skipped, and that its SQL says what the rules mean."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

import duckdb
import pytest
from pandera.pyspark import Check, Column, DataFrameSchema
from pyspark.sql import types as spark_types

from checks.contracts import model
from checks.contracts.model import Contract, Freshness, Rule
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import UnknownCheckError, compile_plan, failures_aggregate_sql, row_failures_sql

Contracts = Mapping[tuple[str, str], Contract]
Row = dict[str, Any]


def bounds(minimum: Any = None, maximum: Any = None, *, low: bool = False, high: bool = False) -> dict[str, Any]:
    return {"minimum": minimum, "maximum": maximum, "exclusive_minimum": low, "exclusive_maximum": high}


def column_of(name: str, spark_type: str, *rules: Rule, null: bool = True, kind: str | None = None) -> model.Column:
    return model.Column(name, spark_type, f"{name}.", null, kind, rules)


def contract_of(*columns: model.Column, key: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Contract:
    return Contract(
        layer="silver",
        name="example",
        version="1.0.0",
        description="One row per example. For tests.",
        owner="team:data-platform",
        columns=columns,
        primary_key=key,
        rules=rules,
        freshness=Freshness(1, None),
        tags=(),
        file="silver/example.odcs.yaml",
        sha256="0" * 64,
    )


def rule(kind: str, columns: tuple[str, ...], arguments: dict[str, Any], rule_id: str, warn: bool = False) -> Rule:
    return Rule(rule_id, kind, "warn" if warn else "error", columns, arguments)


EXAMPLE = contract_of(
    column_of("id", "STRING", rule("length", ("id",), {"minimum": 1, "maximum": 3}, "id_length"), null=False),
    column_of("kind", "STRING", rule("enum", ("kind",), {"values": ("a", "b")}, "kind_enum")),
    column_of("token", "STRING", rule("pattern", ("token",), {"pattern": "^hk1_[0-9]{2}$"}, "token_pattern")),
    column_of("amount", "DECIMAL(18,4)", rule("range", ("amount",), bounds(0), "amount_range")),
    column_of("share", "DOUBLE", rule("range", ("share",), bounds(0, 1, high=True), "share_range", warn=True)),
    column_of("day", "DATE", rule("range", ("day",), bounds(date(2000, 1, 1), low=True), "day_range")),
    rules=(rule("expression", ("amount", "share"), {"expression": "share <= amount"}, "share_below_amount"),),
)
# The same rules, written a second time by hand in Python. True or None: the row keeps the rule.
ORACLE: Mapping[str, Callable[[Row], bool | None]] = {
    "id_not_null": lambda row: row["id"] is not None,
    "id_length": lambda row: None if row["id"] is None else 1 <= len(row["id"]) <= 3,
    "kind_enum": lambda row: None if row["kind"] is None else row["kind"] in {"a", "b"},
    "token_pattern": lambda row: None if row["token"] is None else bool(re.search("^hk1_[0-9]{2}$", row["token"])),
    "amount_range": lambda row: None if row["amount"] is None else row["amount"] >= 0,
    "share_finite": lambda row: None if row["share"] is None else math.isfinite(row["share"]),
    "day_range": lambda row: None if row["day"] is None else row["day"] > date(2000, 1, 1),
    "share_range": lambda row: None if row["share"] is None else 0 <= row["share"] < 1,
    "share_below_amount": lambda row: (
        None
        if row["share"] is None or row["amount"] is None
        # NaN is above every number in SQL, and unordered in Python.
        else not math.isnan(row["share"]) and row["share"] <= row["amount"]
    ),
}
VALUES: Mapping[str, tuple[Any, ...]] = {
    "id": ("x", "", "long", None),
    "kind": ("a", "c", None),
    "token": ("hk1_07", "xhk1_07", "hk1_077", None),
    "amount": (Decimal("0.0000"), Decimal("-0.0001"), Decimal("0.5000"), None),
    "share": (0.0, -0.0, 0.5, 1.0, -0.1, math.nan, math.inf, -math.inf, None),
    "day": (date(2000, 1, 1), date(2000, 1, 2), None),
}
ROWS: list[Row] = [dict(zip(VALUES, values, strict=True)) for values in product(*VALUES.values())]


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    """DuckDB with the rows of the oracle; two Spark functions get DuckDB's names for them."""
    connection = duckdb.connect()
    connection.execute("CREATE MACRO rlike(value, pattern) AS regexp_matches(value, pattern)")
    connection.execute(
        "CREATE TABLE example (id VARCHAR, kind VARCHAR, token VARCHAR, amount DECIMAL(18,4), share DOUBLE, day DATE)"
    )
    for name, values in VALUES.items():
        connection.execute(f"CREATE TABLE v_{name} AS SELECT {name} FROM example")
        connection.executemany(f"INSERT INTO v_{name} VALUES (?)", [[value] for value in values])
    connection.execute(f"INSERT INTO example SELECT {', '.join(VALUES)} FROM {', '.join(f'v_{n}' for n in VALUES)}")
    return connection


def test_counts_equal_a_naive_loop(engine: duckdb.DuckDBPyConnection) -> None:
    plan = compile_plan(to_pandera(EXAMPLE))
    assert {entry.id for entry in plan.row_rules} == set(ORACLE)
    counts = engine.execute(failures_aggregate_sql(plan.row_rules, "example")).fetchone()
    assert counts is not None
    expected = [sum(ORACLE[entry.id](row) is False for row in ROWS) for entry in plan.row_rules]
    assert list(counts) == [len(ROWS), *expected]
    assert all(0 < count < len(ROWS) for count in expected)


def test_each_row_equals_a_naive_loop(engine: duckdb.DuckDBPyConnection) -> None:
    """Rule by rule and row by row: the predicate is never null and is false exactly where the loop says so."""
    plan = compile_plan(to_pandera(EXAMPLE))
    names = list(VALUES)
    for entry in plan.row_rules:
        found = engine.execute(f"SELECT {', '.join(names)}, {entry.predicate} FROM example").fetchall()
        assert len(found) == len(ROWS)
        for *values, holds in found:
            row = dict(zip(names, values, strict=True))
            assert holds is (ORACLE[entry.id](row) is not False), (entry.id, row)


def test_severity_comes_from_pandera() -> None:
    severities = {entry.id: entry.severity for entry in compile_plan(to_pandera(EXAMPLE)).row_rules}
    assert [name for name, severity in severities.items() if severity == "warn"] == ["share_range"]


def test_failures_of_a_row_leave_warnings_out_unless_asked() -> None:
    plan = compile_plan(to_pandera(EXAMPLE))
    assert "share_range" not in row_failures_sql(plan)
    assert "share_range" in row_failures_sql(plan, None)
    assert all(f"'{name}'" in row_failures_sql(plan, None) for name in ORACLE)


def test_plan_is_read_from_the_pandera_schema_not_from_the_contract() -> None:
    schema = to_pandera(EXAMPLE)
    before = compile_plan(schema)
    schema.columns["amount"].checks = [Check.ge(7, name="amount_range")]
    after = compile_plan(schema)
    changed = [new for old, new in zip(before.row_rules, after.row_rules, strict=True) if old != new]
    assert [(entry.id, entry.predicate) for entry in changed] == [("amount_range", "coalesce(amount >= 7, true)")]


def test_a_changed_contract_changes_the_plan() -> None:
    looser = dataclasses.replace(EXAMPLE, columns=(dataclasses.replace(EXAMPLE.columns[0], is_nullable=True),))
    assert "id_not_null" not in {entry.id for entry in compile_plan(to_pandera(looser)).row_rules}


def test_every_rule_of_every_contract_is_planned(contracts: Contracts) -> None:
    for contract in contracts.values():
        plan = compile_plan(to_pandera(contract))
        planned = {entry.id: entry for entry in (*plan.row_rules, *plan.table_rules)}
        expected = {entry.id: entry for entry in contract.all_rules if entry.id != model.SCHEMA_RULE}
        assert planned.keys() == expected.keys()
        for rule_id, entry in expected.items():
            found = planned[rule_id]
            assert (found.kind, found.severity, found.columns) == (entry.kind, entry.severity, entry.columns)
        assert plan.columns == tuple((column.name, column.type) for column in contract.columns)
        assert plan.key == contract.primary_key
        assert plan.masked_columns == frozenset(contract.classified_columns)


def test_references_are_the_tables_that_rules_read(contracts: Contracts) -> None:
    plan = compile_plan(to_pandera(contracts["silver", "fct_redemptions"]))
    assert set(plan.references) == {"silver.dim_household", "bronze.offers", "bronze.redemptions"}


def test_restriction_keeps_row_rules_on_known_columns() -> None:
    plan = compile_plan(to_pandera(EXAMPLE)).restricted_to({"id", "amount"})
    assert {entry.id for entry in plan.row_rules} == {"id_not_null", "id_length", "amount_range"}
    assert plan.columns == (("id", "STRING"), ("amount", "DECIMAL(18,4)"))
    assert plan.table_rules == ()


# ---------------------------------------------------------------- nothing is skipped
def schema_of(*checks: Check, column: dict[str, Any] | None = None, **options: Any) -> DataFrameSchema:
    given = {"strict": True, "ordered": True, "name": "t", **options}
    entry = Column(**{"dtype": spark_types.IntegerType(), "checks": list(checks), **(column or {})})
    return DataFrameSchema({"a": entry}, **given)


REFUSED: Mapping[str, DataFrameSchema] = {
    "function on a column": schema_of(Check(lambda _: True, name="mine")),
    "built-in without SQL": schema_of(Check.unique_values_eq([1])),
    "renamed built-in without SQL": schema_of(Check.unique_values_eq([1], name="a_range")),
    "function on the table": schema_of(checks=[Check(lambda _: True, name="mine")]),
    "unknown kind": schema_of(checks=[Check(lambda _: True, name="mine", statistics={"kind": "magic"})]),
    "nulls fail": schema_of(Check.ge(0, ignore_na=False)),
    "element-wise": schema_of(Check(lambda _: True, element_wise=True)),
    "extra columns": schema_of(strict=False),
    "filtered columns": schema_of(strict="filter"),
    "any order": schema_of(ordered=False),
    "coerced table": schema_of(coerce=True),
    "coerced column": schema_of(column={"coerce": True}),
    "optional column": schema_of(column={"required": False}),
    "regex column": schema_of(column={"regex": True}),
    "column without a type": schema_of(column={"dtype": None}),
    "dropped rows": schema_of(drop_invalid_rows=True),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_checked_is_an_error(case: str) -> None:
    with pytest.raises(UnknownCheckError, match=r"^t"):
        compile_plan(REFUSED[case])


@pytest.mark.parametrize(
    ("check", "predicate"),
    [
        (Check.gt(1), "coalesce(a > 1, true)"),
        (Check.le(1), "coalesce(a <= 1, true)"),
        (Check.lt(1.5), "coalesce(a < 1.5, true)"),
        (Check.in_range(1, 2, include_min=False), "coalesce(a > 1 AND a <= 2, true)"),
    ],
)
def test_comparisons(check: Check, predicate: str) -> None:
    plan = compile_plan(schema_of(check, column={"nullable": True}))
    assert [entry.predicate for entry in plan.row_rules] == [predicate]


def test_start_anchor_of_pandera_is_kept() -> None:
    text = {"dtype": spark_types.StringType(), "nullable": True}
    plan = compile_plan(schema_of(column={**text, "checks": [Check.str_matches("x"), Check.str_length(exact_value=2)]}))
    assert [entry.predicate for entry in plan.row_rules] == [
        "coalesce(rlike(a, '^x'), true)",
        "coalesce(length(a) >= 2 AND length(a) <= 2, true)",
    ]
