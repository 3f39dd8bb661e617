"""A Pandera schema compiled into SQL that checks every row rule in one pass.

Belongs here: walking the *Pandera schema* (never the contract file), so that what runs is what Pandera
declares, and refusing whatever has no SQL here. Does not belong here: a Spark session
(`resources.validation`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pandera.pyspark import Check, DataFrameSchema
from pandera.pyspark import Column as PanderaColumn

from checks.contracts.model import EXPRESSION_KINDS, PRIMARY_KEY_RULE, Severity, not_null_id
from checks.contracts.rule_sql import TABLE_QUERY_KINDS, TableQuery, between, literal, nulls_pass, table_query


class UnknownCheckError(ValueError):
    """A Pandera schema asks for something that the plan cannot check; it is never skipped."""


@dataclass(frozen=True)
class PlannedRule:
    """A rule about one row: `predicate` is a Spark SQL boolean, never null, true when the row keeps it."""

    id: str
    kind: str
    severity: Severity
    columns: tuple[str, ...]
    predicate: str


@dataclass(frozen=True)
class PlannedTableRule:
    """A rule about the table as a whole, as a query that returns one row per failing group."""

    id: str
    kind: str
    severity: Severity
    columns: tuple[str, ...]
    sql: TableQuery


@dataclass(frozen=True)
class ValidationPlan:
    """All that is checked of one table.

    `columns` are (name, Spark SQL type) in order; `key` the primary key; `masked_columns` those that say
    something about a household and are not shown in examples.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    row_rules: tuple[PlannedRule, ...]
    table_rules: tuple[PlannedTableRule, ...]
    masked_columns: frozenset[str]

    @property
    def references(self) -> tuple[str, ...]:
        """The published names of the other tables that the table rules read, each once."""
        names = (rule.sql.reference for rule in self.table_rules)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def restricted_to(self, columns: Collection[str]) -> ValidationPlan:
        """The row rules that these columns suffice for and no table rule: for rows that are not whole yet."""
        rules = tuple(rule for rule in self.row_rules if set(rule.columns) <= set(columns))
        kept = tuple(column for column in self.columns if column[0] in columns)
        return replace(self, columns=kept, row_rules=rules, table_rules=())


def compile_plan(schema: DataFrameSchema) -> ValidationPlan:
    """Compile a schema. Raises UnknownCheckError for a check or an option that has no SQL here."""
    name = str(schema.name)
    _require_plain(schema, name)
    rows: list[PlannedRule] = []
    tables: list[PlannedTableRule] = []
    key = tuple(schema.unique or ())
    if key:
        query = table_query("unique", {"keys": key, "where": None})
        tables.append(PlannedTableRule(PRIMARY_KEY_RULE, "unique", "error", key, query))
    for column_name, column in schema.columns.items():
        _require_plain_column(column, f"{name}.{column_name}")
        if not column.nullable:
            predicate = f"{column_name} IS NOT NULL"
            rows.append(PlannedRule(not_null_id(column_name), "not_null", "error", (column_name,), predicate))
        rows += [_column_rule(check, column_name, name) for check in column.checks]
    for check in schema.checks or []:
        rule = _table_rule(check, name)
        if isinstance(rule, PlannedRule):
            rows.append(rule)
        else:
            tables.append(rule)
    masked = [n for n, c in schema.columns.items() if (c.metadata or {}).get("classification") is not None]
    return ValidationPlan(
        name=name,
        columns=tuple((n, c.dtype.type.simpleString().upper()) for n, c in schema.columns.items()),
        key=key,
        row_rules=tuple(rows),
        table_rules=tuple(tables),
        masked_columns=frozenset(masked),
    )


def failures_aggregate_sql(rules: Sequence[PlannedRule], relation: str) -> str:
    """One scan of a relation: `row_count`, then the failing rows of each rule as `failing_0` and so on."""
    counts = [f"count_if(NOT ({rule.predicate})) AS failing_{index}" for index, rule in enumerate(rules)]
    return f"SELECT {', '.join(['count(*) AS row_count', *counts])} FROM {relation}"


def row_failures_sql(plan: ValidationPlan, severity: Severity | None = "error") -> str:
    """One expression of type ARRAY<STRING>: the ids of the row rules that a row breaks, empty for a good row.

    By default the blocking ones only, because a warning must not send a row to quarantine; None takes both.
    """
    chosen = [rule for rule in plan.row_rules if severity in (None, rule.severity)]
    cases = [f"CASE WHEN NOT ({rule.predicate}) THEN {literal(rule.id)} END" for rule in chosen]
    return f"array_compact(array({', '.join(cases)}))" if cases else "CAST(array() AS ARRAY<STRING>)"


def _require_plain(schema: DataFrameSchema, name: str) -> None:
    wanted = {
        "strict": True,
        "ordered": True,
        "coerce": False,
        "drop_invalid_rows": False,
        "add_missing_columns": False,
        "unique_column_names": False,
    }
    for option, value in wanted.items():
        if getattr(schema, option) != value:
            raise UnknownCheckError(f"{name}: the plan needs {option}={value}, not {getattr(schema, option)!r}")
    if schema.parsers or schema.index is not None or schema.dtype is not None:
        raise UnknownCheckError(f"{name}: parsers, an index and a table-wide dtype are not planned")


def _require_plain_column(column: PanderaColumn, name: str) -> None:
    if column.dtype is None or column.regex or not column.required or column.coerce:
        raise UnknownCheckError(f"{name}: a column needs a type and may not be a regex, optional or coerced")


def _require_plain_check(check: Check, name: str) -> Severity:
    if check.groupby is not None or check.element_wise or not check.ignore_na:
        raise UnknownCheckError(f"{name}.{check.name}: groupby, element_wise and ignore_na=False are not planned")
    return "warn" if check.raise_warning else "error"


def _column_rule(check: Check, column: str, table: str) -> PlannedRule:
    severity = _require_plain_check(check, f"{table}.{column}")
    builtin = check.registry_name
    if builtin not in _BUILTINS:
        raise UnknownCheckError(f"{table}.{column}: the plan has no SQL for the check {check.name!r}")
    kind, condition = _BUILTINS[builtin]
    return PlannedRule(str(check.name), kind, severity, (column,), nulls_pass(condition(column, check.statistics)))


def _table_rule(check: Check, table: str) -> PlannedRule | PlannedTableRule:
    severity = _require_plain_check(check, table)
    statistics = check.statistics
    kind, rule_id = statistics.get("kind"), str(check.name)
    if kind in EXPRESSION_KINDS:
        predicate = nulls_pass(statistics["expression"])
        return PlannedRule(rule_id, kind, severity, tuple(statistics["columns"]), predicate)
    if kind not in TABLE_QUERY_KINDS:
        raise UnknownCheckError(f"{table}: the plan has no SQL for the check {check.name!r}")
    query = table_query(kind, statistics)
    return PlannedTableRule(rule_id, kind, severity, tuple(statistics["columns"]), query)


def _in_range(column: str, given: Mapping[str, Any]) -> str:
    open_low, open_high = not given["include_min"], not given["include_max"]
    return between(column, given["min_value"], given["max_value"], open_low=open_low, open_high=open_high)


def _length(column: str, given: Mapping[str, Any]) -> str:
    exact = given.get("exact_value")
    low, high = (given["min_value"], given["max_value"]) if exact is None else (exact, exact)
    return between(f"length({column})", low, high)


def _is_in(column: str, given: Mapping[str, Any]) -> str:
    return f"{column} IN ({', '.join(literal(value) for value in given['allowed_values'])})"


def _matches(column: str, given: Mapping[str, Any]) -> str:
    # Pandera anchors str_matches at the start of the text.
    pattern = getattr(given["pattern"], "pattern", given["pattern"])
    return f"rlike({column}, {literal(pattern if pattern.startswith('^') else '^' + pattern)})"


_Condition = Callable[[str, Mapping[str, Any]], str]
_BUILTINS: dict[str | None, tuple[str, _Condition]] = {
    "greater_than_or_equal_to": ("range", lambda column, given: between(column, given["min_value"], None)),
    "greater_than": ("range", lambda column, given: between(column, given["min_value"], None, open_low=True)),
    "less_than_or_equal_to": ("range", lambda column, given: between(column, None, given["max_value"])),
    "less_than": ("range", lambda column, given: between(column, None, given["max_value"], open_high=True)),
    "in_range": ("range", _in_range),
    "isin": ("enum", _is_in),
    "str_matches": ("pattern", _matches),
    "str_length": ("length", _length),
}
