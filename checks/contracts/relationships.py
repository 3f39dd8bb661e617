"""The foreign keys of a contract: ODCS relationships to `Rule`.

Belongs here: the reference to a column of another contract, and our custom properties (ruleId, where,
severity, owner). Does not belong here: whether the other contract exists (`loader.load_contracts`).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from open_data_contract_standard.model import Relationship

from checks.contracts.model import Rule
from checks.contracts.odcs import custom_properties
from checks.contracts.place import Place
from checks.contracts.quality import Table, owner_of, severity_of

_REFERENCE = re.compile(r"(?P<file>[a-z0-9_./]+)\.odcs\.yaml#/schema/(?P<table>\w+)/properties/(?P<column>\w+)")


def foreign_key(entry: Relationship, table: Table, place: Place, column: str | None = None) -> Rule:
    """The foreign key of one column or (column=None) of the table."""
    custom = custom_properties(entry.customProperties, ("ruleId", "where", "severity", "owner"), place)
    if entry.type not in (None, "foreignKey"):
        raise place.at("type").error(f"{entry.type!r} is not supported; supported is foreignKey")
    source = [f"{table.name}.{column}"] if column is not None else entry.from_
    sources = source if isinstance(source, list) else [str(source)]
    targets = entry.to if isinstance(entry.to, list) else [str(entry.to)]
    if len(sources) != len(targets):
        raise place.error("from and to must name as many columns")
    columns = []
    for text in sources:
        owner, _, name = text.partition(".")
        if owner != table.name or name not in table.columns:
            raise place.at("from").error(f"{text!r} is no column of {table.name}")
        columns.append(name)
    found = [_target(text, table, place.at("to")) for text in targets]
    if len({other for other, _ in found}) != 1:
        raise place.at("to").error("all columns must be of one table")
    other, where = found[0][0], custom.get("where")
    if where is not None:
        columns += [name for name in table.columns_of(where, place.at("customProperties")) if name not in columns]
    default = f"{'_'.join(columns[: len(targets)])}_in_{other.split('.')[1]}"
    arguments = {
        "keys": tuple(columns[: len(targets)]),
        "other": other,
        "other_columns": tuple(name for _, name in found),
        "where": where,
    }
    spot = place.at("customProperties")
    return Rule(
        id=str(custom.get("ruleId") or default),
        kind="foreign_key",
        severity=severity_of(custom.get("severity"), spot),
        columns=tuple(columns),
        arguments=arguments,
        owner=None if "owner" not in custom else owner_of(custom["owner"], spot.at("owner")),
    )


def _target(text: str, table: Table, place: Place) -> tuple[str, str]:
    """(published name, column): ../silver/x.odcs.yaml#/schema/x/properties/y is ("silver.x", "y")."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise place.error(f"{text!r} must be FILE.odcs.yaml#/schema/TABLE/properties/COLUMN")
    file = PurePosixPath(match["file"])
    layer = file.parent.name or table.layer
    if file.name != match["table"]:
        raise place.error(f"{text!r} names two tables")
    return f"{layer}.{file.name}", match["column"]
