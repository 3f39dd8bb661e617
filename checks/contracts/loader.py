"""Contract files to `Contract`: the standard first, then our stricter rules.

Belongs here: reading a contract or the whole folder, and everything a contract must say before anything is
built from it. Does not belong here: Spark, Pandera, dbt. A contract that asks for something the compiler does
not do is an error.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty

from checks.contracts.column_types import logical_type, supported_types
from checks.contracts.expressions import UnknownWordError, expression_columns
from checks.contracts.model import CLASSIFICATIONS, LAYERS, PII, Column, Contract, Freshness, Rule, SchemaEvolution
from checks.contracts.odcs import custom_properties, read_document, refuse_unsupported
from checks.contracts.place import ContractError, Place
from checks.contracts.quality import Table, column_rules, option_rules, owner_of, table_rules
from checks.contracts.relationships import relationship_rules
from checks.contracts.standard import API_VERSION

__all__ = ["FOLDER", "ContractError", "load_contract", "load_contracts"]

FOLDER = Path(__file__).parent
SUFFIX = ".odcs.yaml"
_DAYS_PER_UNIT = {"d": 1.0, "h": 1.0 / 24.0}


def load_contract(path: Path) -> Contract:
    """Read `<layer>/<name>.odcs.yaml`.

    Raises ContractError, naming file, path and rule, when the file is not ODCS 3.1 or breaks one of our
    rules.
    """
    layer, name = path.parent.name, path.name.removesuffix(SUFFIX)
    place = Place(f"{layer}/{path.name}")
    if not path.name.endswith(SUFFIX) or layer not in LAYERS:
        raise place.error(f"must be <layer>/<name>{SUFFIX} with a layer of {', '.join(LAYERS)}")
    document, raw = read_document(path, place.file)
    refuse_unsupported(raw, place)
    _require_header(document, f"{layer}.{name}", place)
    table = (document.schema_ or [])[0]
    spot = place.at("schema", 0)
    columns = _columns(table, Table(layer, name, _names(table, spot)), spot)
    contract = Contract(
        layer=layer,
        name=name,
        version=str(document.version),
        description=_description(table, spot),
        owner=_owner(document, place),
        columns=columns,
        primary_key=_primary_key(table, spot),
        rules=_table_rules(table, Table(layer, name, _names(table, spot)), spot),
        freshness=_freshness(document, name, columns, place),
        tags=tuple(document.tags or ()),
        file=place.file,
        schema_evolution=_schema_evolution(document, layer, place),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    _require_sound(contract, place)
    return contract


def load_contracts(folder: Path = FOLDER) -> dict[tuple[str, str], Contract]:
    """Every contract of a folder by (layer, name), in the order of the layers, then of the names.

    Raises ContractError as `load_contract` does, and when a rule points to a table or column that is not
    there.
    """
    found: dict[tuple[str, str], Contract] = {}
    for layer in LAYERS:
        for path in sorted((folder / layer).glob(f"*{SUFFIX}")):
            contract = load_contract(path)
            found[contract.key] = contract
    if not found:
        raise ContractError(folder.name, "", f"holds no <layer>/<name>{SUFFIX}")
    for contract in found.values():
        for rule in contract.rules:
            _require_target(contract, rule, found)
    return found


def _require_header(document: OpenDataContractStandard, key: str, place: Place) -> None:
    expected = {"apiVersion": API_VERSION, "kind": "DataContract", "id": key, "status": "active"}
    for field, value in expected.items():
        if getattr(document, field) != value:
            raise place.at(field).error(f"must be {value!r}, not {getattr(document, field)!r}")
    if re.fullmatch(r"\d+\.\d+\.\d+", str(document.version)) is None:
        raise place.at("version").error(f"must be MAJOR.MINOR.PATCH, not {document.version!r}")
    tables = document.schema_ or []
    if len(tables) != 1:
        raise place.at("schema").error(f"must hold exactly one table, not {len(tables)}")
    name = key.split(".")[1]
    table = tables[0]
    wanted = {"id": name, "name": name, "physicalName": key, "physicalType": "table", "logicalType": "object"}
    for field, value in wanted.items():
        if getattr(table, field) != value:
            raise place.at("schema", 0).at(field).error(f"must be {value!r}, not {getattr(table, field)!r}")


def _names(table: SchemaObject, place: Place) -> tuple[str, ...]:
    names = [str(prop.name) for prop in table.properties or []]
    if not names:
        raise place.at("properties").error("a table needs columns")
    for name, times in Counter(names).items():
        if times > 1:
            raise place.at("properties").error(f"the column {name!r} stands {times} times")
    return tuple(names)


def _description(table: SchemaObject, place: Place) -> str:
    grain = (table.dataGranularityDescription or "").strip()
    if not grain.startswith("One row per ") or not grain.endswith(".") or ". " in grain:
        raise place.at("dataGranularityDescription").error('must be one sentence that starts with "One row per "')
    more = " ".join((table.description or "").split())
    if not more:
        raise place.at("description").error("must say what the table is for")
    return f"{grain} {more}"


def _owner(document: OpenDataContractStandard, place: Place) -> str:
    team = document.team
    name = None if team is None or isinstance(team, list) else team.name
    return owner_of(name, place.at("team").at("name"))


def _schema_evolution(document: OpenDataContractStandard, layer: str, place: Place) -> SchemaEvolution:
    custom = custom_properties(document.customProperties, ("schemaEvolution",), place)
    spot, mode = place.at("customProperties").at("schemaEvolution"), custom.get("schemaEvolution", "freeze")
    if custom and layer != "bronze":
        raise spot.error("only a bronze table is read from files that may change")
    if mode not in get_args(SchemaEvolution):
        raise spot.error(f"must be one of {', '.join(get_args(SchemaEvolution))}, not {mode!r}")
    return mode


def _columns(table: SchemaObject, facts: Table, place: Place) -> tuple[Column, ...]:
    return tuple(
        _column(prop, facts, place.at("properties", index)) for index, prop in enumerate(table.properties or [])
    )


def _column(prop: SchemaProperty, facts: Table, place: Place) -> Column:
    if prop.id is not None and prop.id != prop.name:
        raise place.at("id").error(f"must equal the name {prop.name!r}, because references use it")
    physical = str(prop.physicalType)
    logical = logical_type(physical)
    if logical is None:
        raise place.at("physicalType").error(f"{physical!r} is not one of {', '.join(supported_types())}")
    if prop.logicalType != logical:
        raise place.at("logicalType").error(f"must be {logical!r} for {physical}, not {prop.logicalType!r}")
    description = " ".join((prop.description or "").split())
    if not description:
        raise place.at("description").error(f"the column {prop.name!r} needs a description")
    if prop.classification is not None and prop.classification not in CLASSIFICATIONS:
        known = ", ".join(CLASSIFICATIONS)
        raise place.at("classification").error(f"must be one of {known}, not {prop.classification!r}")
    if prop.classification == PII and facts.layer != "bronze":
        raise place.at("classification").error("pii stays in bronze; carry the household token instead")
    rules = (*option_rules(prop, place), *column_rules(prop, place))
    is_nullable = not prop.required
    return Column(str(prop.name), physical, description, is_nullable, prop.classification, rules)


def _primary_key(table: SchemaObject, place: Place) -> tuple[str, ...]:
    keys = [prop for prop in table.properties or [] if prop.primaryKey]
    positions = sorted(prop.primaryKeyPosition or 0 for prop in keys)
    if positions != list(range(1, len(keys) + 1)):
        raise place.at("properties").error("primaryKeyPosition must count the key columns 1, 2, 3, ...")
    for prop in keys:
        if not prop.required:
            raise place.at("properties").error(f"the key column {prop.name!r} must be required")
    return tuple(str(prop.name) for prop in sorted(keys, key=lambda prop: prop.primaryKeyPosition or 0))


def _table_rules(table: SchemaObject, facts: Table, place: Place) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for index, prop in enumerate(table.properties or []):
        spot = place.at("properties", index)
        if prop.unique:
            rules.append(
                Rule(
                    f"{prop.name}_unique",
                    "unique",
                    "error",
                    (str(prop.name),),
                    {"keys": (str(prop.name),), "where": None},
                )
            )
        rules += relationship_rules(prop.relationships or [], facts, spot, str(prop.name))
    rules += relationship_rules(table.relationships or [], facts, place)
    rules += table_rules(table.quality or [], facts, place)
    return tuple(rules)


def _freshness(document: OpenDataContractStandard, name: str, columns: tuple[Column, ...], place: Place) -> Freshness:
    entries = document.slaProperties or []
    if [entry.property for entry in entries] != ["freshness"]:
        raise place.at("slaProperties").error("must hold exactly one property: freshness")
    entry, spot = entries[0], place.at("slaProperties", 0)
    if isinstance(entry.value, bool) or not isinstance(entry.value, int | float) or entry.value <= 0:
        raise spot.at("value").error("must be a positive number")
    if entry.unit not in _DAYS_PER_UNIT:
        raise spot.at("unit").error(f"must be d or h, not {entry.unit!r}")
    table, _, column = str(entry.element).partition(".")
    if table != name:
        raise spot.at("element").error(f"must be {name} or {name}.<column>")
    timed = {item.name for item in columns if item.type in ("DATE", "TIMESTAMP") and not item.is_nullable}
    if column and column not in timed:
        raise spot.at("element").error(f"{column!r} is no required DATE or TIMESTAMP column")
    if not column and timed:
        raise spot.at("element").error(f"must name one of the time columns {', '.join(sorted(timed))}")
    return Freshness(entry.value * _DAYS_PER_UNIT[entry.unit], column or None)


def _require_sound(contract: Contract, place: Place) -> None:
    for rule_id, times in Counter(rule.id for rule in contract.all_rules).items():
        if times > 1:
            raise place.error(f"the rule id {rule_id!r} stands {times} times")
        if not rule_id.replace("_", "").isalnum() or rule_id.lower() != rule_id:
            raise place.error(f"the rule id {rule_id!r} must be lower case words joined by _")


def _require_target(contract: Contract, rule: Rule, contracts: Mapping[tuple[str, str], Contract]) -> None:
    """A foreign key or reconciliation points to a table and to columns that exist with the same type."""
    if rule.kind not in ("foreign_key", "reconcile"):
        return
    layer, _, name = rule.arguments["other"].partition(".")
    target = contracts.get((layer, name))
    if target is None:
        raise ContractError(contract.file, rule.id, f"points to {layer}.{name}, which has no contract")
    if rule.kind == "foreign_key":
        pairs = list(zip(rule.arguments["keys"], rule.arguments["other_columns"], strict=True))
        texts: list[str] = []
    else:
        pairs = [(column, column) for column in rule.arguments["group_by"]]
        texts = [there for _, there in rule.arguments["measures"].values()]
        texts += [rule.arguments["other_where"]] if rule.arguments["other_where"] else []
    for here, there in pairs:
        if there not in target.column_names:
            raise ContractError(contract.file, rule.id, f"points to {target.published_name}.{there}, no such column")
        if contract.column(here).type != target.column(there).type:
            raise ContractError(contract.file, rule.id, f"{here} and {target.published_name}.{there} differ in type")
    for text in texts:
        try:
            expression_columns(text, target.column_names)
        except UnknownWordError as error:
            raise ContractError(contract.file, rule.id, f"{target.published_name}: {error}") from error
