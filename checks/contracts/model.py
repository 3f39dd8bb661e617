"""What a contract is: plain frozen data, the same for every engine.

Belongs here: the shape of a contract and the names of its rules. Does not belong here: reading files
(`loader`), SQL, Spark, Pandera or dbt.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warn"]
# What becomes of a source file whose columns differ from what its mapping knows; see `evolution`.
SchemaEvolution = Literal["freeze", "quarantine", "evolve"]

LAYERS = ("bronze", "silver", "gold", "models", "forecasts", "insights")
# Where the contracts of messages to other programs lie: they have the columns of a table, and are none.
EVENTS = "events"
TEAMS = ("data-platform", "demand-science", "commercial-insights")

# What a value says about a person. A column without a classification says nothing about one.
PII = "pii"  # names a household; allowed in bronze only
PSEUDONYMOUS = "pseudonymous"  # a keyed token of a household
PERSONAL = "personal"  # an attribute of a household, banded
CLASSIFICATIONS = (PII, PSEUDONYMOUS, PERSONAL)

SCHEMA_RULE = "schema"
PRIMARY_KEY_RULE = "primary_key"
ROW_KINDS = ("not_null", "range", "enum", "pattern", "length", "expression")
VALUE_KINDS = ("range", "enum", "pattern", "length")  # checked by one value alone, without Spark
EXPRESSION_KINDS = ("not_null", "expression")  # checked by a boolean over the row's columns
# The business week of a row, where the contract marks no other column as the one that its table is made by.
WEEK = "week_start_date"
TABLE_KINDS = ("unique", "foreign_key", "row_count", "reconcile")
RULE_KINDS = (SCHEMA_RULE, *ROW_KINDS, *TABLE_KINDS)


def not_null_id(column: str) -> str:
    """The id of the rule that a column holds no null."""
    return f"{column}_not_null"


@dataclass(frozen=True)
class Rule:
    """One promise about the rows.

    `arguments` by kind: range: minimum, maximum, exclusive_minimum, exclusive_maximum (the last two booleans); enum:
    values; pattern: pattern, anchored at the start; length: minimum, maximum (characters); expression: expression
    (Spark SQL that is not false); unique: keys, where; foreign_key: keys, other (published name), other_columns,
    where; row_count: minimum, maximum; reconcile: other, group_by, measures (name -> (expression here, expression
    there)), where, other_where, other_latest (None, or key and order of the versions there, of which the last
    counts), absent_is_zero (a group that one side lacks has measures of 0 there). A not_null rule of its own, which
    may warn, has the expression too. `owner` is None where the owner of the table owns the rule.
    """

    id: str
    kind: str
    severity: Severity
    columns: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    owner: str | None = None


@dataclass(frozen=True)
class Column:
    """One column: Spark SQL type in upper case, meaning with the unit, and the rules about it alone.

    `examples` are values as JSON has them.
    """

    name: str
    type: str
    description: str
    is_nullable: bool
    classification: str | None = None
    rules: tuple[Rule, ...] = ()
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Freshness:
    """The newest `column` is at most `days` before the lake's clock.

    `column` is None for a table whose rows carry no time (a key or a lookup table): it is as fresh as its
    inputs. `every_week` promises rows for every business week in which the source's business was open.
    """

    days: float
    column: str | None
    every_week: bool = False


def _finite(column: str) -> Rule:
    # NaN is larger than every number in Spark, so that it would pass "at least 0": a range with both ends
    # refuses it.
    largest = sys.float_info.max
    bounds = {"minimum": -largest, "maximum": largest, "exclusive_minimum": False, "exclusive_maximum": False}
    return Rule(f"{column}_finite", "range", "error", (column,), bounds, "Neither NaN nor infinite.")


@dataclass(frozen=True)
class Contract:
    """One table: the source of its schema, its rules, its owner and its documentation.

    `requires` names what a source must deliver for the table to exist in a lake, such as bronze.promotions.
    `week_column` is the business week that a weekly table is made, replaced and audited by; None: it has none.
    """

    layer: str
    name: str
    version: str
    description: str
    owner: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    rules: tuple[Rule, ...]
    freshness: Freshness
    tags: tuple[str, ...]
    file: str
    sha256: str
    schema_evolution: SchemaEvolution = "freeze"
    requires: tuple[str, ...] = ()
    week_column: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(layer, name), which is also the Dagster asset key."""
        return (self.layer, self.name)

    @property
    def published_name(self) -> str:
        """The name that readers use: `silver.fct_promotions`."""
        return f"{self.layer}.{self.name}"

    @property
    def audit_name(self) -> str:
        """The table that writers write. Bronze commits accepted rows only, so both names are one there."""
        return self.published_name if self.layer == "bronze" else f"{self.layer}_audit.{self.name}"

    @property
    def grain(self) -> str:
        """The first sentence of the description: "One row per ..."."""
        return self.description.split(". ", maxsplit=1)[0].rstrip(".") + "."

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the table."""
        return tuple(column.name for column in self.columns)

    @property
    def classified_columns(self) -> tuple[str, ...]:
        """The columns that say something about a household; examples of failures mask them."""
        return tuple(column.name for column in self.columns if column.classification is not None)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """Every rule, flattened: schema, nulls, finite numbers, column rules, key, table rules."""
        found = [Rule(SCHEMA_RULE, SCHEMA_RULE, "error", self.column_names)]
        for column in self.columns:
            if not column.is_nullable:
                found.append(Rule(not_null_id(column.name), "not_null", "error", (column.name,)))
            if column.type == "DOUBLE":
                found.append(_finite(column.name))
            found.extend(column.rules)
        if self.primary_key:
            given = {"keys": self.primary_key, "where": None}
            found.append(Rule(PRIMARY_KEY_RULE, "unique", "error", self.primary_key, given))
        return (*found, *self.rules)

    @property
    def blocking_rules(self) -> tuple[Rule, ...]:
        """The rules whose failure stops the publication of the table."""
        return tuple(rule for rule in self.all_rules if rule.severity == "error")

    def owner_of(self, rule: Rule) -> str:
        """Who answers for a rule: its own owner, or that of the table."""
        return rule.owner or self.owner

    def column(self, name: str) -> Column:
        """One column by name; KeyError when the contract has none of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.published_name} has no column {name!r}")
