"""Running a validation plan on Spark: the audit of a table and the split of a batch.

Belongs here: the queries of a plan, their counts, and a few masked examples. Does not belong here: what is
checked (`checks.contracts`) and what a failure leads to (the asset checks and the ingest). The start refuses
PANDERA_VALIDATION_ENABLED=false (`resources.settings`), so that Pandera's own validation cannot be off
unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession

from checks.contracts.model import SCHEMA_RULE, WEEK, Severity
from checks.contracts.plan import (
    PlannedRule,
    PlannedTableRule,
    ValidationPlan,
    failures_aggregate_sql,
    row_failures_sql,
)
from checks.contracts.rule_sql import latest_rows, literal, with_relations

Outcome = Literal["passed", "failed", "not_run"]
EXAMPLES = 5
# From here on a key is proved unique by its hashes; below, grouping by the key itself is as fast.
PROOF_FROM_ROWS = 1_000_000
MASK = "***"


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule.

    `failing_rows` counts rows (for a reconciliation: groups; for the schema: columns). `example` holds up to
    five of them with the columns of the rule and the key, as texts, classified columns masked. A rule whose
    columns are missing or of another type is `not_run`, which is not a pass.
    """

    rule_id: str
    kind: str
    severity: Severity
    columns: tuple[str, ...]
    outcome: Outcome
    failing_rows: int
    example: list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """The outcome of an audit: every rule, and the rows that were read."""

    row_count: int
    results: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        """No blocking rule failed, and none could not be run."""
        return all(result.outcome == "passed" for result in self.results if result.severity == "error")

    @property
    def failures(self) -> tuple[RuleResult, ...]:
        """The rules that did not pass, warnings included."""
        return tuple(result for result in self.results if result.outcome != "passed")


def audit(
    spark: SparkSession,
    relation: str,
    plan: ValidationPlan,
    *,
    references: Mapping[str, str] | None = None,
    weeks: tuple[date, date] | None = None,
    week_column: str | None = WEEK,
) -> Verdict:
    """Check every rule of a plan against a relation.

    Args:
        spark: the session.
        relation: what follows FROM, such as `silver_audit.x VERSION AS OF 3` or `bronze.pos_lines`.
        plan: the compiled contract of the table.
        references: relations to read in place of other tables' published names, such as
            {"silver.dim_product": "silver_audit.dim_product VERSION AS OF 7"}.
        weeks: first and last business week (inclusive) to audit. Rules that need the whole table, such as a key
            without the week, still read all of it.
        week_column: what `weeks` are of; a relation without it is read as a whole.

    All row rules cost one scan; each table rule is a query of its own; examples are read only for what failed.
    """
    found = _schema(spark, relation)
    problems, unsound = _schema_problems(plan, found)
    if week_column not in found or week_column in unsound:
        weeks = None
    run = _Audit(spark, relation, plan, references or {}, weeks, week_column, unsound)
    row_count, row_results = run.row_results()
    return Verdict(row_count, (_schema_result(plan, problems), *row_results, *run.table_results(row_count)))


def with_broken_rules(df: DataFrame, plan: ValidationPlan, column: str = "_broken_rules") -> DataFrame:
    """The frame with one more column, ARRAY<STRING>: the ids of the blocking row rules that the row breaks.

    A good row has an empty array. One select; the frame needs the columns that the rules name.
    """
    return df.selectExpr("*", f"{row_failures_sql(plan)} AS {column}")


@dataclass(frozen=True)
class _Audit:
    """One audit under way. `unsound` are the columns that are missing or of another type."""

    spark: SparkSession
    relation: str
    plan: ValidationPlan
    references: Mapping[str, str]
    weeks: tuple[date, date] | None
    week_column: str | None
    unsound: frozenset[str]

    def row_results(self) -> tuple[int, list[RuleResult]]:
        """The row count and the outcome of every row rule, from one scan."""
        relation = self._within(self.relation)
        runnable = [rule for rule in self.plan.row_rules if self._can_run(rule)]
        counts = self.spark.sql(failures_aggregate_sql(runnable, relation)).collect()[0]
        failing = {rule.id: int(counts[f"failing_{index}"]) for index, rule in enumerate(runnable)}
        results = [
            self._row_result(rule, failing[rule.id], relation) if rule.id in failing else _not_run(rule)
            for rule in self.plan.row_rules
        ]
        return int(counts["row_count"]), results

    def table_results(self, row_count: int) -> list[RuleResult]:
        """The outcome of every table rule, from one query with a branch for each.

        A large table's branch says null where a key is not proved unique by its hashes; only then is the key grouped.
        """
        may_prove = row_count >= PROOF_FROM_ROWS
        runnable = [rule for rule in self.plan.table_rules if self._can_run(rule)]
        branches = [
            f"SELECT '{rule.id}' AS rule_id, failing_rows FROM ({self._total(rule, may_prove=may_prove)})"
            for rule in runnable
        ]
        totals: dict[str, int | None] = {}
        if branches:
            totals = {
                row["rule_id"]: row["failing_rows"] for row in self.spark.sql(" UNION ALL ".join(branches)).collect()
            }
        return [
            self._table_result(rule, totals[rule.id]) if rule.id in totals else _not_run(rule)
            for rule in self.plan.table_rules
        ]

    def _total(self, rule: PlannedTableRule, *, may_prove: bool) -> str:
        """A query with one value, `failing_rows`: null where a proof does not hold, which settles nothing."""
        if rule.sql.proof is not None and may_prove:
            return f"SELECT CASE WHEN holds THEN 0L END AS failing_rows FROM ({self._over(rule, rule.sql.proof)})"
        return f"SELECT coalesce(sum(failing_rows), 0L) AS failing_rows FROM ({self._over(rule, rule.sql.query)})"

    def _table_result(self, rule: PlannedTableRule, failing: int | None) -> RuleResult:
        if failing is None:
            failing = int(self.spark.sql(self._total(rule, may_prove=False)).collect()[0]["failing_rows"])
        examples = (
            self._examples(f"SELECT * FROM ({self._over(rule, rule.sql.query)}) LIMIT {EXAMPLES}") if failing else []
        )
        return _counted(rule, failing, examples)

    def _over(self, rule: PlannedTableRule, query: str) -> str:
        return with_relations(query, *self._relations(rule))

    def _row_result(self, rule: PlannedRule, failing: int, relation: str) -> RuleResult:
        key = (name for name in self.plan.key if name not in self.unsound)
        columns = ", ".join(dict.fromkeys((*key, *rule.columns)))
        some = f"SELECT {columns} FROM {relation} WHERE NOT ({rule.predicate}) LIMIT {EXAMPLES}"
        examples = self._examples(some) if failing else []
        return _counted(rule, failing, examples)

    def _can_run(self, rule: PlannedRule | PlannedTableRule) -> bool:
        return self.unsound.isdisjoint(rule.columns)

    def _relations(self, rule: PlannedTableRule) -> tuple[str, str | None]:
        """What the rule reads: the weeks under audit where they suffice, else the whole table."""
        name = rule.sql.reference
        reference = None if name is None else self.references.get(name, name)
        if rule.kind == "unique" and self.week_column not in rule.columns:
            return self.relation, reference
        if reference is not None and rule.sql.latest is not None:
            reference = latest_rows(reference, *rule.sql.latest)
        if rule.kind == "reconcile" and self.week_column in rule.columns and reference is not None:
            reference = self._within(reference)
        return self._within(self.relation), reference

    def _within(self, relation: str) -> str:
        if self.weeks is None:
            return relation
        first, last = (literal(week) for week in self.weeks)
        return f"(SELECT * FROM {relation} WHERE {self.week_column} BETWEEN {first} AND {last})"

    def _examples(self, query: str) -> list[dict[str, Any]]:
        masked = self.plan.masked_columns
        return [
            {name: _shown(value, is_masked=name in masked) for name, value in row.asDict().items()}
            for row in self.spark.sql(query).collect()
        ]


def _schema(spark: SparkSession, relation: str) -> dict[str, str]:
    """The columns of a relation in order, with their Spark SQL types."""
    fields = spark.sql(f"SELECT * FROM {relation} LIMIT 0").schema.fields
    return {field.name: field.dataType.simpleString().upper() for field in fields}


def _schema_problems(plan: ValidationPlan, found: Mapping[str, str]) -> tuple[list[dict[str, Any]], frozenset[str]]:
    """The differences from the contract, and the contract columns that cannot be checked."""
    wanted = dict(plan.columns)
    problems: list[dict[str, Any]] = []
    for name, spark_type in wanted.items():
        if found.get(name) != spark_type:
            problems.append({"column": name, "expected": spark_type, "found": found.get(name, "missing")})
    unsound = frozenset(str(problem["column"]) for problem in problems)
    problems += [
        {"column": name, "expected": "no such column", "found": spark_type}
        for name, spark_type in found.items()
        if name not in wanted
    ]
    if not problems and list(found) != list(wanted):
        problems = [
            {
                "column": expected,
                "expected": f"position {index}",
                "found": f"position {list(found).index(expected)}",
            }
            for index, (expected, actual) in enumerate(zip(wanted, found, strict=True))
            if expected != actual
        ]
    return problems, unsound


def _schema_result(plan: ValidationPlan, problems: list[dict[str, Any]]) -> RuleResult:
    columns = tuple(name for name, _ in plan.columns)
    outcome: Outcome = "failed" if problems else "passed"
    return RuleResult(SCHEMA_RULE, "schema", "error", columns, outcome, len(problems), problems)


def _shown(value: Any, *, is_masked: bool) -> Any:
    if value is None:
        return None
    if is_masked:
        return MASK
    return value if isinstance(value, bool | int) else str(value)


def _counted(rule: PlannedRule | PlannedTableRule, failing: int, examples: list[dict[str, Any]]) -> RuleResult:
    outcome: Outcome = "failed" if failing else "passed"
    return RuleResult(rule.id, rule.kind, rule.severity, rule.columns, outcome, failing, examples)


def _not_run(rule: PlannedRule | PlannedTableRule) -> RuleResult:
    return RuleResult(rule.id, rule.kind, rule.severity, rule.columns, "not_run", 0, [])
