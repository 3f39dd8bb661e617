"""The columns of a contract: ODCS properties to `Column`.

Belongs here: names, types, descriptions, classification, key, week. Does not belong here: rules (`quality`), files.
"""

from __future__ import annotations

from collections import Counter

from open_data_contract_standard.model import SchemaObject, SchemaProperty

from checks.contracts.column_types import logical_type, supported_types
from checks.contracts.model import CLASSIFICATIONS, PII, WEEK, Column, Rule
from checks.contracts.place import ContractError, Place, attempt
from checks.contracts.quality import Table, column_rule, option_rules

# The catalog's own limit (Hive's COLUMNS_V2.COMMENT). Beyond it every publication fails ten times, two seconds apart,
# before the catalog keeps the columns in another place.
MOST_DESCRIPTION = 256


def column_names(table: SchemaObject, place: Place) -> tuple[str, ...]:
    """The names in order; ContractError when there is none or one stands twice."""
    names = [str(prop.name) for prop in table.properties or []]
    if not names:
        raise place.at("properties").error("a table needs columns")
    for name, times in Counter(names).items():
        if times > 1:
            raise place.at("properties").error(f"the column {name!r} stands {times} times")
    return tuple(names)


def read_columns(table: SchemaObject, facts: Table, place: Place, errors: list[ContractError]) -> tuple[Column, ...]:
    """The columns with the rules about each alone; what is wrong with one goes to `errors`."""
    return tuple(
        _column(prop, facts, place.at("properties", index), errors) for index, prop in enumerate(table.properties or [])
    )


def _column(prop: SchemaProperty, facts: Table, place: Place, errors: list[ContractError]) -> Column:
    attempt(errors, lambda: _require_column(prop, facts, place), None)
    return Column(
        name=str(prop.name),
        type=str(prop.physicalType),
        description=" ".join((prop.description or "").split()),
        is_nullable=not prop.required,
        classification=prop.classification,
        rules=attempt(errors, lambda: _rules(prop, place), ()),
        examples=tuple(prop.examples or ()),
    )


def _rules(prop: SchemaProperty, place: Place) -> tuple[Rule, ...]:
    """The rules about the column alone."""
    entries = prop.quality or []
    found = [column_rule(entry, prop, place.at("quality", index)) for index, entry in enumerate(entries)]
    return (*option_rules(prop, place), *found)


def _require_column(prop: SchemaProperty, facts: Table, place: Place) -> None:
    """A type that we have under its ODCS name, a description, and a classification that fits the layer."""
    if prop.id is not None and prop.id != prop.name:
        raise place.at("id").error(f"must equal the name {prop.name!r}, because references use it")
    physical = str(prop.physicalType)
    logical = logical_type(physical)
    if logical is None:
        raise place.at("physicalType").error(f"{physical!r} is not one of {', '.join(supported_types())}")
    if prop.logicalType != logical:
        raise place.at("logicalType").error(f"must be {logical!r} for {physical}, not {prop.logicalType!r}")
    if not (prop.description or "").strip():
        raise place.at("description").error(f"the column {prop.name!r} needs a description")
    if len(" ".join(str(prop.description).split())) > MOST_DESCRIPTION:
        raise place.at("description").error(f"is longer than {MOST_DESCRIPTION} characters, which the catalog can hold")
    if prop.classification is not None and prop.classification not in CLASSIFICATIONS:
        known = ", ".join(CLASSIFICATIONS)
        raise place.at("classification").error(f"must be one of {known}, not {prop.classification!r}")
    if prop.classification == PII and facts.layer != "bronze":
        raise place.at("classification").error("pii stays in bronze; carry the household token instead")


def primary_key(table: SchemaObject, place: Place) -> tuple[str, ...]:
    """The key columns by position; ContractError for a hole in the positions and for a key that may be null."""
    keys = [prop for prop in table.properties or [] if prop.primaryKey]
    positions = sorted(prop.primaryKeyPosition or 0 for prop in keys)
    if positions != list(range(1, len(keys) + 1)):
        raise place.at("properties").error("primaryKeyPosition must count the key columns 1, 2, 3, ...")
    for prop in keys:
        if not prop.required:
            raise place.at("properties").error(f"the key column {prop.name!r} must be required")
    return tuple(str(prop.name) for prop in sorted(keys, key=lambda prop: prop.primaryKeyPosition or 0))


def week_column(table: SchemaObject, place: Place) -> str | None:
    """The column marked `partitioned`, else the business week by its usual name, else None.

    ContractError when two are marked, or one that is no date or may be null.
    """
    columns = table.properties or []
    marked = [prop for prop in columns if prop.partitioned]
    if len(marked) > 1:
        raise place.at("properties").error("a table is partitioned by one business week, not by several columns")
    for prop in marked:
        if prop.physicalType != "DATE" or not prop.required:
            raise place.at("properties").error(f"the partition column {prop.name!r} must be a required DATE")
    found = marked or [prop for prop in columns if prop.name == WEEK]
    return str(found[0].name) if found else None
