"""Contract files to `Contract`: the standard first, then our stricter rules.

Belongs here: reading a contract or the whole folder, and everything a contract must say before anything is
built from it. Does not belong here: Spark, Pandera, dbt. A contract that asks for something the compiler does
not do is an error.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import get_args

from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject

from checks.contracts.columns import column_names, primary_key, read_columns, week_column
from checks.contracts.expressions import UnknownWordError, expression_columns
from checks.contracts.model import EVENTS, LAYERS, VALUE_KINDS, Column, Contract, Freshness, Rule, SchemaEvolution
from checks.contracts.odcs import custom_properties, read_document, refuse_unsupported
from checks.contracts.place import ContractError, Place, attempt
from checks.contracts.quality import Table, owner_of, table_rule
from checks.contracts.relationships import foreign_key
from checks.contracts.service_levels import FREQUENCY, FRESHNESS, read_frequency, read_freshness
from checks.contracts.standard import API_VERSION

__all__ = [
    "FOLDER", "ContractError", "Draft", "draft_contract", "draft_contracts", "load_contract", "load_contracts",
    "load_event_contracts",
]  # fmt: skip

FOLDER = Path(__file__).parent
SUFFIX = ".odcs.yaml"
_TABLE_PROPERTIES = ("schemaEvolution", "requires")


@dataclass(frozen=True)
class Draft:
    """What can be read of contracts, and every error that kept a rule, key or service level of them from being read."""

    contracts: Mapping[tuple[str, str], Contract]
    errors: tuple[ContractError, ...]

    def sound(self) -> Mapping[tuple[str, str], Contract]:
        """The contracts; raises the first error when there is one."""
        for error in self.errors:
            raise error
        return self.contracts


def load_contract(path: Path) -> Contract:
    """Read `<layer>/<name>.odcs.yaml`.

    Raises ContractError, naming file, path and rule, when the file is not ODCS 3.1 or breaks one of our
    rules.
    """
    (contract,) = draft_contract(path).sound().values()
    return contract


def load_contracts(folder: Path = FOLDER) -> dict[tuple[str, str], Contract]:
    """Every table's contract of a folder by (layer, name), in the order of the layers, then of the names.

    Raises ContractError as `load_contract` does, and when a rule points to a table or column that is not
    there.
    """
    return {key: item for key, item in draft_contracts(folder).sound().items() if item.layer in LAYERS}


def load_event_contracts(folder: Path = FOLDER) -> dict[tuple[str, str], Contract]:
    """Every event's contract of a folder, in the order of the names.

    Raises ContractError as `load_contracts` does.
    """
    return {key: item for key, item in draft_contracts(folder).sound().items() if item.layer == EVENTS}


def draft_contracts(folder: Path = FOLDER) -> Draft:
    """Every contract of a folder, those of events too.

    For a comparison that must not stop at a rule that does not fit its table any more.

    Raises ContractError when a file is not ODCS or not about one table of ours.
    """
    found: dict[tuple[str, str], Contract] = {}
    errors: list[ContractError] = []
    for layer in (*LAYERS, EVENTS):
        for path in sorted((folder / layer).glob(f"*{SUFFIX}")):
            draft = draft_contract(path)
            found |= draft.contracts
            errors += draft.errors
    if not found:
        raise ContractError(folder.name, "", f"holds no <layer>/<name>{SUFFIX}")
    for contract in found.values():
        for rule in contract.rules:
            attempt(errors, lambda contract=contract, rule=rule: _require_target(contract, rule, found), None)
    return Draft(found, tuple(errors))


def draft_contract(path: Path) -> Draft:
    """One contract, as `draft_contracts` reads it; the same content is compiled once."""
    return _compiled(path, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")


@cache
def _compiled(path: Path, sha256: str) -> Draft:
    layer, name = path.parent.name, path.name.removesuffix(SUFFIX)
    place = Place(f"{layer}/{path.name}")
    if not path.name.endswith(SUFFIX) or layer not in (*LAYERS, EVENTS):
        raise place.error(f"must be <layer>/<name>{SUFFIX} with a layer of {', '.join((*LAYERS, EVENTS))}")
    document, raw = read_document(path, place.file)
    refuse_unsupported(raw, place)
    _require_header(document, f"{layer}.{name}", place)
    table, spot = (document.schema_ or [])[0], place.at("schema", 0)
    facts = Table(layer, name, column_names(table, spot))
    errors: list[ContractError] = []
    columns = read_columns(table, facts, spot, errors)
    contract = Contract(
        layer=layer,
        name=name,
        version=str(document.version),
        description=_description(table, spot, "One event per " if layer == EVENTS else "One row per "),
        owner=_owner(document, place),
        columns=columns,
        primary_key=attempt(errors, lambda: primary_key(table, spot), ()),
        rules=tuple(_table_rules(table, facts, spot, errors)),
        freshness=attempt(errors, lambda: _freshness(document, name, columns, place), Freshness(math.inf, None)),
        tags=tuple(document.tags or ()),
        file=place.file,
        schema_evolution=_schema_evolution(document, layer, place),
        requires=_requires(document, place),
        week_column=attempt(errors, lambda: week_column(table, spot), None),
        sha256=sha256,
    )
    attempt(errors, lambda: _require_sound(contract, place), None)
    return Draft({contract.key: contract}, tuple(errors))


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
    layer, _, name = key.partition(".")
    table = tables[0]
    kind = "topic" if layer == EVENTS else "table"
    wanted = {"id": name, "name": name, "physicalName": key, "physicalType": kind, "logicalType": "object"}
    for field, value in wanted.items():
        if getattr(table, field) != value:
            raise place.at("schema", 0).at(field).error(f"must be {value!r}, not {getattr(table, field)!r}")


def _description(table: SchemaObject, place: Place, start: str) -> str:
    grain = (table.dataGranularityDescription or "").strip()
    if not grain.startswith(start) or not grain.endswith(".") or ". " in grain:
        raise place.at("dataGranularityDescription").error(f'must be one sentence that starts with "{start}"')
    more = " ".join((table.description or "").split())
    if not more:
        raise place.at("description").error("must say what the table is for")
    return f"{grain} {more}"


def _owner(document: OpenDataContractStandard, place: Place) -> str:
    team = document.team
    name = None if team is None or isinstance(team, list) else team.name
    return owner_of(name, place.at("team").at("name"))


def _schema_evolution(document: OpenDataContractStandard, layer: str, place: Place) -> SchemaEvolution:
    custom = custom_properties(document.customProperties, _TABLE_PROPERTIES, place)
    spot, mode = place.at("customProperties").at("schemaEvolution"), custom.get("schemaEvolution", "freeze")
    if "schemaEvolution" in custom and layer != "bronze":
        raise spot.error("only a bronze table is read from files that may change")
    if mode not in get_args(SchemaEvolution):
        raise spot.error(f"must be one of {', '.join(get_args(SchemaEvolution))}, not {mode!r}")
    return mode


def _requires(document: OpenDataContractStandard, place: Place) -> tuple[str, ...]:
    """What a source must deliver for the table to exist."""
    custom = custom_properties(document.customProperties, _TABLE_PROPERTIES, place)
    names = custom.get("requires", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise place.at("customProperties").at("requires").error("must be a list of names, such as bronze.promotions")
    return tuple(names)


def _table_rules(table: SchemaObject, facts: Table, place: Place, errors: list[ContractError]) -> Iterator[Rule]:
    """The rules beside those of a single column; one that cannot be read goes to `errors`."""
    readers: list[Callable[[], Rule]] = []
    for index, prop in enumerate(table.properties or []):
        name, spot = str(prop.name), place.at("properties", index)
        if prop.unique:
            given = {"keys": (name,), "where": None}
            yield Rule(f"{name}_unique", "unique", "error", (name,), given)
        for number, link in enumerate(prop.relationships or []):
            readers.append(partial(foreign_key, link, facts, spot.at("relationships", number), name))
    for index, link in enumerate(table.relationships or []):
        readers.append(partial(foreign_key, link, facts, place.at("relationships", index)))
    for index, entry in enumerate(table.quality or []):
        readers.append(partial(table_rule, entry, facts, place.at("quality", index)))
    for read in readers:
        rule = attempt(errors, read, None)
        if rule is not None:
            yield rule


def _freshness(document: OpenDataContractStandard, name: str, columns: tuple[Column, ...], place: Place) -> Freshness:
    entries = document.slaProperties or []
    if not entries and document.id == f"{EVENTS}.{name}":
        return Freshness(math.inf, None)
    if [entry.property for entry in entries] not in ([FRESHNESS], [FRESHNESS, FREQUENCY]):
        raise place.at("slaProperties").error(f"must hold {FRESHNESS}, and {FREQUENCY} after it or nothing")
    level = read_freshness(entries[0], name, columns, place.at("slaProperties", 0))
    for entry in entries[1:]:
        level = read_frequency(entry, name, columns, level, place.at("slaProperties", 1))
    return level


def _require_sound(contract: Contract, place: Place) -> None:
    for rule_id, times in Counter(rule.id for rule in contract.all_rules).items():
        if times > 1:
            raise place.error(f"the rule id {rule_id!r} stands {times} times")
        if not rule_id.replace("_", "").isalnum() or rule_id.lower() != rule_id:
            raise place.error(f"the rule id {rule_id!r} must be lower case words joined by _")
    if contract.layer != EVENTS:
        return
    if not contract.primary_key:
        raise place.error("an event needs key columns: its id is made of them")
    for rule in (*contract.rules, *(rule for column in contract.columns for rule in column.rules)):
        if rule.kind not in VALUE_KINDS or rule.severity != "error":
            raise place.error(f"{rule.id}: an event is checked by itself, by {', '.join(VALUE_KINDS)}, and never warns")


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
        texts += [name for names in rule.arguments["other_latest"] or () for name in names]
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
