"""A small contract and every change of it that the comparison knows, with what should be said of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from checks.contracts.model import Column, Contract, Freshness, Rule

Alter = Callable[[Contract], Contract]


def bounds(minimum: Any = None, maximum: Any = None) -> dict[str, Any]:
    return {"minimum": minimum, "maximum": maximum, "exclusive_minimum": False, "exclusive_maximum": False}


RANGE = Rule("units_range", "range", "error", ("units",), bounds(0, 10))
KINDS = Rule("kind_enum", "enum", "error", ("kind",), {"values": ("a", "b")})
WARNS = Rule("units_below_kind", "expression", "warn", ("units", "kind"), {"expression": "units > 0 OR kind = 'a'"})
BLOCKS = Rule("known_kind", "expression", "error", ("kind",), {"expression": "kind <> 'x'"})
BASE = Contract(
    layer="bronze",
    name="lines",
    version="1.2.3",
    description="One row per line. For tests.",
    owner="team:data-platform",
    columns=(
        Column("line_id", "STRING", "Line.", is_nullable=False),
        Column("kind", "STRING", "Kind.", is_nullable=False, rules=(KINDS,)),
        Column("units", "DECIMAL(10,2)", "Units.", is_nullable=True, rules=(RANGE,)),
        Column("note", "STRING", "Note.", is_nullable=True, classification="personal"),
    ),
    primary_key=("line_id",),
    rules=(WARNS, BLOCKS),
    freshness=Freshness(8, None),
    tags=("bronze",),
    file="bronze/lines.odcs.yaml",
    sha256="0" * 64,
    schema_evolution="quarantine",
)


def with_column(target: str, /, **changes: Any) -> Alter:
    return lambda base: dataclasses.replace(
        base,
        columns=tuple(
            dataclasses.replace(column, **changes) if column.name == target else column for column in base.columns
        ),
    )


def without_column(name: str) -> Alter:
    def alter(base: Contract) -> Contract:
        kept = tuple(column for column in base.columns if column.name != name)
        rules = tuple(rule for rule in base.rules if name not in rule.columns)
        return dataclasses.replace(base, columns=kept, rules=rules)

    return alter


def with_new_column(column: Column) -> Alter:
    return lambda base: dataclasses.replace(base, columns=(*base.columns, column))


def with_rule(rule_id: str, **changes: Any) -> Alter:
    def altered(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(dataclasses.replace(rule, **changes) if rule.id == rule_id else rule for rule in rules)

    def alter(base: Contract) -> Contract:
        columns = tuple(dataclasses.replace(column, rules=altered(column.rules)) for column in base.columns)
        return dataclasses.replace(base, columns=columns, rules=altered(base.rules))

    return alter


def with_values(**changes: Any) -> Alter:
    return lambda base: dataclasses.replace(base, **changes)


def new_rule(severity: Any) -> Alter:
    rule = Rule("fresh_rule", "expression", severity, ("note",), {"expression": "note <> ''"})
    return lambda base: dataclasses.replace(base, rules=(*base.rules, rule))


READERS, WRITERS, BOTH = ("readers",), ("writers",), ("readers", "writers")
# name -> (change of the contract, kind, effect, whom it breaks, words)
CASES: dict[str, tuple[Alter, str, str, tuple[str, ...], str]] = {
    "column removed": (without_column("units"), "column_removed", "breaking", READERS, "units (DECIMAL(10,2)) is gone"),
    "optional column added": (
        with_new_column(Column("more", "INT", "More.", is_nullable=True)),
        "column_added",
        "additive",
        (),
        "more (INT)",
    ),
    "required column added": (
        with_new_column(Column("more", "INT", "More.", is_nullable=False)),
        "column_added",
        "breaking",
        WRITERS,
        "required",
    ),
    "type widened": (
        with_column("units", type="DECIMAL(18,4)"),
        "column_widened",
        "additive",
        (),
        "DECIMAL(10,2) to DECIMAL(18,4)",
    ),
    "type narrowed": (with_column("units", type="DECIMAL(9,2)"), "column_narrowed", "breaking", BOTH, "DECIMAL(9,2)"),
    "other type": (with_column("note", type="BIGINT"), "column_changed", "breaking", BOTH, "STRING to BIGINT"),
    "required now": (with_column("units", is_nullable=False), "column_required", "breaking", WRITERS, "required now"),
    "nullable now": (with_column("kind", is_nullable=True), "column_nullable", "breaking", READERS, "may be null"),
    "described anew": (with_column("note", description="N."), "description_changed", "neutral", (), "described anew"),
    "classified": (with_column("note", classification=None), "classification_changed", "neutral", (), "was personal"),
    "order": (with_values(columns=BASE.columns[::-1]), "columns_reordered", "breaking", BOTH, "another order"),
    "enum value gone": (
        with_rule("kind_enum", arguments={"values": ("a",)}),
        "rule_narrowed",
        "breaking",
        WRITERS,
        "'b' left",
    ),
    "enum value new": (
        with_rule("kind_enum", arguments={"values": ("a", "b", "c")}),
        "rule_widened",
        "additive",
        (),
        "'c' came",
    ),
    "enum values exchanged": (
        with_rule("kind_enum", arguments={"values": ("a", "c")}),
        "rule_changed",
        "breaking",
        BOTH,
        "'b' left, 'c' came",
    ),
    "enum reordered": (
        with_rule("kind_enum", arguments={"values": ("b", "a")}),
        "rule_reordered",
        "neutral",
        (),
        "order",
    ),
    "range narrowed": (
        with_rule("units_range", arguments=bounds(1, 10)),
        "rule_narrowed",
        "breaking",
        WRITERS,
        "[0, 10] becomes [1, 10]",
    ),
    "range widened": (
        with_rule("units_range", arguments=bounds(None, 11)),
        "rule_widened",
        "additive",
        (),
        "becomes (-inf, 11]",
    ),
    "range open at one end": (
        with_rule("units_range", arguments={**bounds(0, 10), "exclusive_minimum": True}),
        "rule_narrowed",
        "breaking",
        WRITERS,
        "becomes (0, 10]",
    ),
    "range moved": (with_rule("units_range", arguments=bounds(1, 11)), "rule_changed", "breaking", BOTH, "[1, 11]"),
    "expression changed": (
        with_rule("known_kind", arguments={"expression": "kind <> 'y'"}),
        "rule_changed",
        "breaking",
        BOTH,
        "kind <> 'y'",
    ),
    "warning changed": (
        with_rule("units_below_kind", arguments={"expression": "units > 1"}),
        "rule_changed",
        "additive",
        (),
        "units > 1",
    ),
    "blocking rule gone": (with_values(rules=(WARNS,)), "rule_removed", "breaking", READERS, "nothing promises it"),
    "warning gone": (with_values(rules=(BLOCKS,)), "rule_removed", "additive", (), "units_below_kind"),
    "blocking rule new": (new_rule("error"), "rule_added", "breaking", WRITERS, "rows that break it are refused"),
    "warning new": (new_rule("warn"), "rule_added", "additive", (), "fresh_rule"),
    "severity raised": (
        with_rule("units_below_kind", severity="error"),
        "severity_raised",
        "breaking",
        WRITERS,
        "blocks now",
    ),
    "severity lowered": (
        with_rule("known_kind", severity="warn"),
        "severity_lowered",
        "breaking",
        READERS,
        "only warns",
    ),
    "rule renamed": (
        with_rule("known_kind", id="kind_is_known"),
        "rule_renamed",
        "neutral",
        (),
        "called kind_is_known",
    ),
    "owner of a rule": (
        with_rule("known_kind", owner="team:demand-science"),
        "owner_changed",
        "neutral",
        (),
        "to team:demand-science",
    ),
    "key changed": (
        with_values(primary_key=("line_id", "kind")),
        "key_changed",
        "breaking",
        BOTH,
        "(line_id) to (line_id, kind)",
    ),
    "made by another week": (
        with_values(week_column="target_week_start_date"),
        "week_changed",
        "neutral",
        (),
        "is target_week_start_date",
    ),
    "sla tightened": (with_values(freshness=Freshness(4, None)), "sla_tightened", "additive", (), "8 to 4 days"),
    "sla loosened": (with_values(freshness=Freshness(9, None)), "sla_loosened", "breaking", READERS, "8 to 9 days"),
    "sla of every week": (
        with_values(freshness=Freshness(8, None, every_week=True)),
        "sla_tightened",
        "additive",
        (),
        "every business week",
    ),
    "sla of another column": (
        with_values(freshness=Freshness(8, "event_at")),
        "sla_changed",
        "breaking",
        READERS,
        "event_at, was the inputs",
    ),
    "owner": (with_values(owner="team:demand-science"), "owner_changed", "neutral", (), "to team:demand-science"),
    "description": (with_values(description="One row per line. More."), "description_changed", "neutral", (), "table"),
    "tags": (with_values(tags=()), "tags_changed", "neutral", (), "tags"),
    "evolution tightened": (
        with_values(schema_evolution="freeze"),
        "evolution_tightened",
        "breaking",
        WRITERS,
        "becomes freeze",
    ),
    "evolution loosened": (
        with_values(schema_evolution="evolve"),
        "evolution_loosened",
        "additive",
        (),
        "becomes evolve",
    ),
}
