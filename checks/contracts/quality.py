"""The quality rules of a contract: ODCS entries to `Rule`.

Belongs here: the meaning of `logicalTypeOptions` and of `quality` (library metrics and `engine: liftlake`). Does not
belong here: foreign keys (`relationships`), bounds (`bounds`), and how a rule is checked (`pandera_schema`, `plan`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from open_data_contract_standard.model import DataQuality, SchemaProperty

from checks.contracts.bounds import LENGTH_KEYS, RANGE_KEYS, count_bounds, length_bounds, range_bounds
from checks.contracts.expressions import UnknownWordError, expression_columns
from checks.contracts.model import TEAMS, Rule, Severity
from checks.contracts.odcs import custom_properties, refuse_other_keys
from checks.contracts.place import Place

ENGINE = "liftlake"
_SEVERITIES: Mapping[str, Severity] = {"error": "error", "warning": "warn"}
_BOUNDED_TYPES = ("integer", "number", "date", "timestamp")
_ANY_FORM = ("id", "type", "severity", "description", "customProperties")
_FORMS: Mapping[str, tuple[str, ...]] = {
    "invalidValues": ("metric", "arguments", "mustBe"),
    "nullValues": ("metric", "mustBe"),
    "duplicateValues": ("metric", "arguments", "mustBe"),
    "rowCount": (
        "metric",
        "mustBe",
        "mustBeGreaterThan",
        "mustBeGreaterOrEqualTo",
        "mustBeLessThan",
        "mustBeLessOrEqualTo",
        "mustBeBetween",
    ),
    "custom": ("engine", "implementation"),
}


@dataclass(frozen=True)
class Table:
    """What the rules of one table need to know of it."""

    layer: str
    name: str
    columns: Collection[str]

    def columns_of(self, expression: Any, place: Place) -> tuple[str, ...]:
        """The columns of an expression; ContractError when it is no text or names something else."""
        if not isinstance(expression, str):
            raise place.error("must be a text")
        try:
            return expression_columns(expression, self.columns)
        except UnknownWordError as error:
            raise place.error(str(error)) from error


def option_rules(prop: SchemaProperty, place: Place) -> tuple[Rule, ...]:
    """The rules in `logicalTypeOptions`: range, length, pattern."""
    options, name, logical = prop.logicalTypeOptions or {}, str(prop.name), str(prop.logicalType)
    place = place.at("logicalTypeOptions")
    rules: list[Rule] = []
    bounds = {key: value for key, value in options.items() if key in RANGE_KEYS}
    if bounds:
        if logical not in _BOUNDED_TYPES:
            raise place.error(f"a {logical} column has no minimum or maximum")
        rules.append(Rule(f"{name}_range", "range", "error", (name,), range_bounds(bounds, logical, place)))
    lengths = {key: value for key, value in options.items() if key in LENGTH_KEYS}
    if (lengths or "pattern" in options) and logical != "string":
        raise place.error(f"a {logical} column has no length and no pattern")
    if lengths:
        rules.append(Rule(f"{name}_length", "length", "error", (name,), length_bounds(lengths, place)))
    if "pattern" in options:
        pattern = _checked_pattern(options["pattern"], place.at("pattern"))
        rules.append(Rule(f"{name}_pattern", "pattern", "error", (name,), {"pattern": pattern}))
    return tuple(rules)


def severity_of(text: str | None, place: Place) -> Severity:
    """ODCS error or warning (error when not given) as our error or warn; ContractError for another word."""
    if text is None:
        return "error"
    if text not in _SEVERITIES:
        raise place.at("severity").error(f"must be one of {', '.join(_SEVERITIES)}, not {text!r}")
    return _SEVERITIES[text]


def owner_of(name: Any, place: Place) -> str:
    """A team as `team:<name>`; ContractError when it is none of ours."""
    if name not in TEAMS:
        raise place.error(f"must be one of {', '.join(TEAMS)}, not {name!r}")
    return f"team:{name}"


def _form(entry: DataQuality, allowed: Collection[str], place: Place) -> str:
    """The form of an entry: its metric, or custom. It holds what the form reads and nothing that would go unread."""
    form = entry.metric or str(entry.type)
    if form not in allowed:
        raise place.error(f"{form!r} is not supported here; supported are {', '.join(sorted(allowed))}")
    refuse_other_keys(entry.model_fields_set, (*_ANY_FORM, *_FORMS[form]), place)
    if "mustBe" in entry.model_fields_set and form != "rowCount" and (entry.mustBe != 0 or entry.mustBe is False):
        raise place.at("mustBe").error(f"must be 0 for {form}")
    if form in ("invalidValues", "nullValues", "duplicateValues") and "mustBe" not in entry.model_fields_set:
        raise place.error(f"{form} needs mustBe: 0")
    return form


def column_rule(entry: DataQuality, prop: SchemaProperty, place: Place) -> Rule:
    """The rule in an entry of a column's `quality`: enum, pattern, or a null, range or length that may warn."""
    column = str(prop.name)
    form = _form(entry, ("invalidValues", "nullValues", "custom"), place)
    if form == "custom":
        return _bounded_rule(entry, prop, place)
    if form == "nullValues":
        if prop.required:
            raise place.error("the column is required already")
        return _rule(entry, "not_null", (column,), {"expression": f"{column} IS NOT NULL"}, place)
    arguments, spot = entry.arguments or {}, place.at("arguments")
    refuse_other_keys(arguments, ("validValues", "pattern"), spot)
    if set(arguments) == {"validValues"} and isinstance(arguments["validValues"], list):
        return _rule(entry, "enum", (column,), {"values": tuple(arguments["validValues"])}, place)
    if set(arguments) == {"pattern"}:
        pattern = _checked_pattern(arguments["pattern"], spot.at("pattern"))
        return _rule(entry, "pattern", (column,), {"pattern": pattern}, place)
    raise spot.error("invalidValues needs exactly one of validValues (a list) and pattern")


def _bounded_rule(entry: DataQuality, prop: SchemaProperty, place: Place) -> Rule:
    """A range or length that stands in `quality`, because `logicalTypeOptions` has no severity."""
    kind, given = _implementation(entry, place, ("range", "length"))
    spot, columns, logical = place.at("implementation"), (str(prop.name),), str(prop.logicalType)
    refuse_other_keys(given, RANGE_KEYS if kind == "range" else LENGTH_KEYS, spot)
    if not given or (logical not in _BOUNDED_TYPES if kind == "range" else logical != "string"):
        raise spot.error(f"a {kind} needs a bound and a column that is not {logical}")
    bounds = range_bounds(given, logical, spot) if kind == "range" else length_bounds(given, spot)
    return _rule(entry, kind, columns, bounds, place)


def table_rule(entry: DataQuality, table: Table, place: Place) -> Rule:
    """The rule in an entry of a table's `quality`: row count, further key, expression, reconciliation."""
    form = _form(entry, ("rowCount", "duplicateValues", "custom"), place)
    if form == "rowCount":
        return _rule(entry, "row_count", (), count_bounds(entry, place), place)
    if entry.id is None:
        raise place.error("this rule needs an id")
    if form == "duplicateValues":
        arguments, spot = entry.arguments or {}, place.at("arguments")
        refuse_other_keys(arguments, ("properties", "where"), spot)
        columns, where = _known(arguments.get("properties"), table, spot.at("properties")), arguments.get("where")
        read = () if where is None else table.columns_of(where, spot.at("where"))
        given = {"keys": columns, "where": where}
        return _rule(entry, "unique", tuple(dict.fromkeys((*columns, *read))), given, place)
    kind, given = _implementation(entry, place, ("expression", "reconcile"))
    spot = place.at("implementation")
    if kind == "reconcile":
        return _rule(entry, kind, *_reconciliation(given, table, spot), place)
    refuse_other_keys(given, ("expression",), spot)
    columns = table.columns_of(given.get("expression"), spot.at("expression"))
    if not columns:
        raise spot.at("expression").error("names no column of this table")
    return _rule(entry, kind, columns, {"expression": " ".join(given["expression"].split())}, place)


def _rule(entry: DataQuality, kind: str, columns: tuple[str, ...], arguments: Mapping[str, Any], place: Place) -> Rule:
    default = "_".join((*columns[:1], kind))
    custom = custom_properties(entry.customProperties, ("owner",), place)
    return Rule(
        id=entry.id or default,
        kind=kind,
        severity=severity_of(entry.severity, place),
        columns=columns,
        arguments=arguments,
        description=" ".join((entry.description or "").split()),
        owner=None if "owner" not in custom else owner_of(custom["owner"], place.at("customProperties").at("owner")),
    )


def _checked_pattern(pattern: Any, place: Place) -> str:
    try:
        re.compile(str(pattern))
    except re.error as error:
        raise place.error(f"{pattern!r} is no regular expression: {error}") from error
    if not str(pattern).startswith("^"):
        raise place.error(f"{pattern!r} must start with ^, because Pandera anchors it there anyway")
    return str(pattern)


def _implementation(entry: DataQuality, place: Place, kinds: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The kind and the further fields of an entry that our own engine runs."""
    if entry.engine != ENGINE:
        raise place.at("engine").error(f"must be {ENGINE!r}, not {entry.engine!r}")
    if not isinstance(entry.implementation, dict):
        raise place.at("implementation").error("must be a mapping")
    given = dict(entry.implementation)
    kind = given.pop("kind", None)
    if kind not in kinds:
        raise place.at("implementation").at("kind").error(f"must be one of {', '.join(kinds)}, not {kind!r}")
    return str(kind), given


def _known(names: Any, table: Table, place: Place) -> tuple[str, ...]:
    if not isinstance(names, list) or not names:
        raise place.error("must be a list of columns")
    for name in names:
        if name not in table.columns:
            raise place.error(f"{name!r} is no column of this table")
    return tuple(cast("list[str]", names))


def _reconciliation(given: dict[str, Any], table: Table, place: Place) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The columns that a reconciliation reads here, and its arguments."""
    known = ("other", "group_by", "measures", "where", "other_where", "other_latest", "absent_is_zero")
    refuse_other_keys(given, known, place)
    if not re.fullmatch(r"\w+\.\w+", str(given.get("other"))):
        raise place.at("other").error("must be the published name of a table, such as bronze.pos_lines")
    group_by = _known(given.get("group_by"), table, place.at("group_by"))
    if not isinstance(given.get("measures"), dict) or not given["measures"]:
        raise place.at("measures").error("must be a mapping from a measure to its expression")
    columns = dict.fromkeys(group_by)
    measures: dict[str, tuple[str, str]] = {}
    for name, value in given["measures"].items():
        spot = place.at("measures").at(str(name))
        match value:
            case str(here):
                there = here
            case [str(here), str(there)]:
                pass
            case _:
                raise spot.error("must be one expression, or a list of two: the one here and the one there")
        columns |= dict.fromkeys(table.columns_of(here, spot))
        measures[str(name)] = (here, there)
    if given.get("where") is not None:
        columns |= dict.fromkeys(table.columns_of(given["where"], place.at("where")))
    if not isinstance(given.get("absent_is_zero", False), bool):
        raise place.at("absent_is_zero").error("must be true or false")
    arguments = {
        "other": str(given["other"]),
        "group_by": group_by,
        "measures": measures,
        "where": given.get("where"),
        "other_where": given.get("other_where"),
        "other_latest": _latest(given.get("other_latest"), place.at("other_latest")),
    }
    if given.get("absent_is_zero"):
        arguments["absent_is_zero"] = True
    return tuple(columns), arguments


def _latest(given: Any, place: Place) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The key and the order of the other table's versions, of which the last one counts."""
    if given is None:
        return None
    match given:
        case {"key": [*key], "order": [*order], **others} if key and order and not others:
            return tuple(map(str, key)), tuple(map(str, order))
    raise place.error("must be {key: [columns], order: [columns]}: of the rows of a key the last in that order counts")
