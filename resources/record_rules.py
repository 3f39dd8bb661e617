"""Rules about a source record, before it is a row of a table.

Belongs here: what a mapping makes impossible or refuses, and records that could not be read, as rules of the same plan
that checks the contract. Does not belong here: rules about rows (checks.contracts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from checks.contracts.plan import PlannedRule, ValidationPlan
from resources.mapping import SourceMapping
from resources.projection import lenient, mentions
from resources.records import PROBLEM, RECORD_PROBLEMS


def record_rules(mapping: SourceMapping, table: str, raw_columns: tuple[str, ...]) -> dict[str, str]:
    """Rule id -> SQL that is true where a record breaks it, over the columns of the file.

    `mapping.unread.<column>`: a value is there and the mapping's expression makes nothing of it.
    `mapping.reject.<name>`: the mapping refuses the record.
    """
    rules = mapping.tables[table]
    expressions = dict(rules.columns)
    expressions |= {name: sql for name, sql in (("event_at", rules.event_at), ("known_at", rules.known_at)) if sql}
    expressions |= {"week_start_date": rules.week_start_date} if rules.week_start_date else {}
    found = {}
    for name, expression in expressions.items():
        inputs = [column for column in raw_columns if mentions(expression, column)]
        if inputs and name not in rules.may_be_null:
            given = " AND ".join(f"`{column}` IS NOT NULL" for column in inputs)
            found[f"mapping.unread.{name}"] = f"({given} AND ({lenient(expression)}) IS NULL)"
    for name, condition in rules.reject.items():
        found[f"mapping.reject.{name}"] = f"COALESCE({lenient(condition)}, FALSE)"
    return found


def rule_column(index: int) -> str:
    """Name of the hidden column that says whether a record breaks the rule of that place in `record_rules`."""
    return f"_breaks_{index}"


def with_record_rules(plan: ValidationPlan, rules: Mapping[str, str], *, is_text: bool) -> ValidationPlan:
    """The plan with the mapping's rules before it; a record that could not be read breaks that rule and no other."""
    columns = [rule_column(index) for index in range(len(rules))]
    own = [
        PlannedRule(rule, "mapping", "error", (column,), f"NOT {column}")
        for rule, column in zip(rules, columns, strict=True)
    ]
    rows = [*own, *plan.row_rules]
    if is_text:
        rows = [replace(rule, predicate=f"{PROBLEM} IS NOT NULL OR ({rule.predicate})") for rule in rows]
        unread = [
            PlannedRule(name, "record", "error", (PROBLEM,), f"NOT ({PROBLEM} <=> '{name}')")
            for name in RECORD_PROBLEMS
        ]
        rows = [*unread, *rows]
    return replace(plan, row_rules=tuple(rows))


def good_row(plan: ValidationPlan) -> str:
    """SQL condition of a record that keeps every blocking rule."""
    return " AND ".join([f"({rule.predicate})" for rule in plan.row_rules if rule.severity == "error"]) or "TRUE"
