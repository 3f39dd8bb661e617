"""A contract as a Pandera schema for Spark: the object that says what is checked.

Belongs here: contract rules to Pandera columns and checks, built-in checks wherever Pandera has them. Does
not belong here: how the checks are run fast (`plan` compiles this schema into one pass). The checks also run
under Pandera's own `validate`, one Spark action each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pandera.engines import pyspark_engine
from pandera.pyspark import Check, DataFrameSchema
from pandera.pyspark import Column as PanderaColumn
from pyspark.sql import DataFrame
from pyspark.sql import types as spark_types

from checks.contracts.column_types import decimal_parts
from checks.contracts.model import EXPRESSION_KINDS, PRIMARY_KEY_RULE, SCHEMA_RULE, Column, Contract, Rule
from checks.contracts.rule_sql import TABLE_QUERY_KINDS, nulls_pass, table_query, with_relations

_SPARK_TYPES: dict[str, spark_types.DataType] = {
    "STRING": spark_types.StringType(),
    "BIGINT": spark_types.LongType(),
    "INT": spark_types.IntegerType(),
    "DOUBLE": spark_types.DoubleType(),
    "BOOLEAN": spark_types.BooleanType(),
    "DATE": spark_types.DateType(),
    "TIMESTAMP": spark_types.TimestampType(),
    "ARRAY<STRING>": spark_types.ArrayType(spark_types.StringType()),
}
_VIEW = "_frame_under_validation"


def to_pandera(contract: Contract) -> DataFrameSchema:
    """The schema of one table: exact columns in order, every rule of the contract as a check.

    A check's `name` and `error` are the id of its rule; a rule of severity warn has `raise_warning`. The primary key is
    `unique`. Column metadata hold the classification, the schema's metadata the owner of each rule.

    Raises ValueError for a rule of unknown kind.
    """
    by_column: dict[str, list[Check]] = {name: [] for name in contract.column_names}
    by_table: list[Check] = []
    for rule in contract.all_rules:
        if rule.id in (SCHEMA_RULE, PRIMARY_KEY_RULE) or (rule.kind == "not_null" and not rule.arguments):
            continue  # strict, ordered, unique and nullable below
        if rule.kind in _COLUMN_CHECKS:
            by_column[rule.columns[0]].append(_column_check(rule))
        elif rule.kind in TABLE_QUERY_KINDS or rule.kind in EXPRESSION_KINDS:
            by_table.append(_table_check(rule))
        else:
            raise ValueError(f"{contract.file}: {rule.id}: no Pandera check for the kind {rule.kind!r}")
    return DataFrameSchema(
        columns={column.name: _column(column, by_column[column.name]) for column in contract.columns},
        checks=by_table,
        strict=True,
        ordered=True,
        unique=list(contract.primary_key) or None,
        name=contract.published_name,
        description=contract.description,
        metadata={
            "version": contract.version,
            "sha256": contract.sha256,
            "owners": {rule.id: contract.owner_of(rule) for rule in contract.all_rules},
        },
    )


def _column(column: Column, checks: list[Check]) -> PanderaColumn:
    parts = decimal_parts(column.type)
    spark_type = _SPARK_TYPES[column.type] if parts is None else spark_types.DecimalType(*parts)
    return PanderaColumn(
        dtype=pyspark_engine.Engine.dtype(spark_type),
        checks=checks,
        nullable=column.is_nullable,
        description=column.description,
        metadata={"classification": column.classification},
    )


def _column_check(rule: Rule) -> Check:
    build = _COLUMN_CHECKS[rule.kind]
    labels: dict[str, Any] = {
        "name": rule.id,
        "error": rule.id,
        "description": rule.description or None,
        "raise_warning": rule.severity == "warn",
    }
    return build(rule, labels)


def _range(rule: Rule, labels: dict[str, Any]) -> Check:
    low, high = rule.arguments["minimum"], rule.arguments["maximum"]
    open_low, open_high = rule.arguments["exclusive_minimum"], rule.arguments["exclusive_maximum"]
    if low is not None and high is not None:
        return Check.in_range(low, high, include_min=not open_low, include_max=not open_high, **labels)
    if low is not None:
        return Check.gt(low, **labels) if open_low else Check.ge(low, **labels)
    return Check.lt(high, **labels) if open_high else Check.le(high, **labels)


def _enum(rule: Rule, labels: dict[str, Any]) -> Check:
    return Check.isin(list(rule.arguments["values"]), **labels)


def _pattern(rule: Rule, labels: dict[str, Any]) -> Check:
    return Check.str_matches(rule.arguments["pattern"], **labels)


def _length(rule: Rule, labels: dict[str, Any]) -> Check:
    return Check.str_length(rule.arguments["minimum"], rule.arguments["maximum"], **labels)


_COLUMN_CHECKS: dict[str, Callable[[Rule, dict[str, Any]], Check]] = {
    "range": _range,
    "enum": _enum,
    "pattern": _pattern,
    "length": _length,
}


def _table_check(rule: Rule) -> Check:
    statistics = {"kind": rule.kind, "columns": rule.columns, **rule.arguments}
    holds = _expression_holds if rule.kind in EXPRESSION_KINDS else _query_is_empty

    def run(frame: DataFrame) -> bool:
        return holds(frame, statistics)

    return Check(
        run,
        name=rule.id,
        error=rule.id,
        description=rule.description or None,
        raise_warning=rule.severity == "warn",
        statistics=statistics,
    )


def _expression_holds(frame: DataFrame, statistics: Mapping[str, Any]) -> bool:
    return frame.filter(f"NOT {nulls_pass(statistics['expression'])}").isEmpty()


def _query_is_empty(frame: DataFrame, statistics: Mapping[str, Any]) -> bool:
    found = table_query(statistics["kind"], statistics)
    frame.createOrReplaceTempView(_VIEW)
    return frame.sparkSession.sql(with_relations(found.query, _VIEW, found.reference)).isEmpty()
