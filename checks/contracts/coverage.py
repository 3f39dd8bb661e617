"""What our compiler makes of any ODCS document: each part emitted, or named with the reason why not.

Belongs here: the walk over the parts of a document that need not keep our house rules. Does not belong here: what a
part means: the functions of our own contracts decide (`coverage_rules` calls them).

Emitted means that a `Contract` holds it, from which Spark schema, Pandera schema and validation plan follow. Words for
people and hints for other tools (dimension, schedule, business name, ...) change nothing that is checked: they are
listed as ignored.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from open_data_contract_standard.model import SchemaObject

from checks.contracts.columns import primary_key
from checks.contracts.coverage_rules import (
    QUALITY_NOTES,
    column_quality,
    option,
    relationship,
    table_quality,
    with_options,
)
from checks.contracts.foreign_types import spark_type
from checks.contracts.model import CLASSIFICATIONS, Column, Contract, Freshness, Rule
from checks.contracts.odcs import read_document
from checks.contracts.place import ContractError, Place
from checks.contracts.service_levels import level_of_document

Kind = Literal["table", "key", "column", "option", "relationship", "quality", "sla"]
KINDS: tuple[Kind, ...] = ("table", "key", "column", "option", "relationship", "quality", "sla")
LAYER = "bronze"  # where data of others come in
T = TypeVar("T")
_DOCUMENT = ("apiVersion", "kind", "id", "version", "status", "schema", "slaProperties")
_TABLE = ("id", "name", "description", "properties", "relationships", "quality")
_COLUMN = (
    "id", "name", "logicalType", "physicalType", "logicalTypeOptions", "description", "required", "unique",
    "primaryKey", "primaryKeyPosition", "relationships", "quality", "items",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One part of a document: what it became, or (`is_emitted` false) why it became nothing."""

    kind: Kind
    path: str
    is_emitted: bool
    text: str
    ignored: tuple[str, ...] = ()


@dataclass
class Coverage:
    """All parts of a document, and the contracts that hold what was emitted of it."""

    file: str
    ignored: tuple[str, ...]
    items: list[Item] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)

    def counts(self) -> dict[Kind, dict[str, int]]:
        """Kind to the number of parts that were emitted and that were not."""
        found = Counter((item.kind, item.is_emitted) for item in self.items)
        return {kind: {"emitted": found[kind, True], "unsupported": found[kind, False]} for kind in KINDS}

    def read(self, kind: Kind, place: Place, reader: Callable[[], T], ignored: Collection[str] = ()) -> T | None:
        """What `reader` reads, noted as emitted; None, noted with the reason, where that raises ContractError."""
        try:
            result = reader()
        except ContractError as error:
            inner = error.path.removeprefix(place.path).lstrip(".")
            text = f"{inner}: {error.rule}" if inner else error.rule
            self.items.append(Item(kind, place.path, is_emitted=False, text=text))
            return None
        self.items.append(Item(kind, place.path, is_emitted=True, text=_words(result), ignored=tuple(ignored)))
        return result


def read_coverage(path: Path) -> Coverage:
    """Read any ODCS file of version 3 part by part.

    Raises ContractError when it is not YAML or not of the standard's shape.
    """
    document, raw = read_document(path)
    found, place = Coverage(path.name, tuple(_others(raw, _DOCUMENT))), Place(path.name)
    tables = list(raw.get("schema") or [])
    drafts: dict[str, Contract] = {}
    for index, table in enumerate(tables):
        columns = tuple(_columns(found, table, place.at("schema", index)))
        drafts[str(table["name"])] = Contract(
            layer=LAYER,
            name=str(table["name"]),
            version=str(document.version),
            description=" ".join(str(table.get("description", "")).split()),
            owner="",
            columns=columns,
            primary_key=(),
            rules=(),
            freshness=Freshness(math.inf, None),
            tags=(),
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
    for index, table in enumerate(tables):
        spot, draft = place.at("schema", index), drafts[str(table["name"])]
        key = _key(found, table, draft, spot)
        draft = drafts[draft.name] = replace(draft, primary_key=key, rules=tuple(_rules(found, table, drafts, spot)))
    for index, entry in enumerate(raw.get("slaProperties") or []):
        spot = place.at("slaProperties", index)
        promise = found.read("sla", spot, lambda entry=entry, spot=spot: level_of_document(entry, drafts, spot))
        if promise is not None:
            drafts[promise[0]] = replace(drafts[promise[0]], freshness=promise[1])
    for index, table in enumerate(tables):
        spot, draft = place.at("schema", index), drafts[str(table["name"])]
        table_read = found.read(
            "table", spot, lambda draft=draft, spot=spot: _table(draft, spot), _others(table, _TABLE)
        )
        if table_read is not None:
            found.contracts.append(table_read)
    return found


def _words(result: Any) -> str:
    """What a part became, in few words."""
    if isinstance(result, Contract):
        return f"{result.published_name} with {len(result.columns)} columns"
    if isinstance(result, Rule):
        return f"rule {result.id} ({result.kind}, {result.severity})"
    if isinstance(result, tuple):
        return ", ".join(str(part) for part in result)
    return str(result)


def _others(entry: Mapping[str, Any], read: Collection[str]) -> list[str]:
    return [name for name in entry if name not in read]


def _table(draft: Contract, place: Place) -> Contract:
    if not draft.columns:
        raise place.error("holds no column that is emitted")
    return draft


# ---------------------------------------------------------------- columns
def _columns(found: Coverage, table: Mapping[str, Any], place: Place) -> Iterator[Column]:
    for index, raw in enumerate(table.get("properties") or []):
        column = _column(found, raw, place.at("properties", index))
        if column is not None:
            yield column


def _column(found: Coverage, raw: Mapping[str, Any], place: Place, reason: str | None = None) -> Column | None:
    """One column with the rules about it alone; with a reason it is known not to be emitted."""
    ignored = _others(raw, _COLUMN)
    spark = found.read("column", place, lambda: _column_type(raw, place, reason), ignored)
    lost = None if spark else "its column is not emitted"
    rules: list[Rule | None] = []
    emitted: dict[str, Any] = {}
    spot = place.at("logicalTypeOptions")
    for name, value in (raw.get("logicalTypeOptions") or {}).items():
        read = found.read(
            "option", spot.at(name), lambda n=name, v=value: option(raw, spark, n, v, emitted, place, lost)
        )
        if read is not None:
            emitted[name] = value
    for index, entry in enumerate(raw.get("quality") or []):
        spot = place.at("quality", index)
        noted = [name for name in entry if name in QUALITY_NOTES]
        rules.append(
            found.read("quality", spot, lambda e=entry, s=spot: column_quality(raw, spark, e, rules, s, lost), noted)
        )
    inside = [(place.at("properties", index), item) for index, item in enumerate(raw.get("properties") or [])]
    items = raw.get("items") or {}
    spot = place.at("items")
    inside += [(spot.at("properties", index), item) for index, item in enumerate(items.get("properties") or [])]
    for spot, item in inside:
        _column(found, item, spot, f"stands inside the column {raw.get('name')!r}: columns are flat here")
    if spark is None:
        return None
    about = raw.get("classification")
    return Column(
        name=str(raw["name"]),
        type=spark,
        description=" ".join(str(raw.get("description", "")).split()),
        is_nullable=not raw.get("required"),
        classification=about if about in CLASSIFICATIONS else None,
        rules=(*with_options(raw, spark, emitted, place), *(rule for rule in rules if rule is not None)),
    )


def _column_type(raw: Mapping[str, Any], place: Place, reason: str | None) -> str:
    if reason is not None:
        raise place.error(reason)
    if re.fullmatch(r"[A-Za-z_]\w*", str(raw["name"])) is None:
        raise place.at("name").error(f"{raw['name']!r} is no plain SQL name")
    return spark_type(raw, place)


# ---------------------------------------------------------------- what spans columns
def _key(found: Coverage, table: Mapping[str, Any], draft: Contract, place: Place) -> tuple[str, ...]:
    """The primary key; it counts as one part of a table that marks a column as key."""
    marked = [raw for raw in table.get("properties") or [] if raw.get("primaryKey")]
    if not marked:
        return ()

    def read() -> tuple[str, ...]:
        for raw in marked:
            if raw["name"] not in draft.column_names:
                raise place.error(f"its column {raw['name']!r} is not emitted")
        words = ("name", "primaryKey", "primaryKeyPosition", "required")
        columns = [{word: raw[word] for word in words if word in raw} for raw in marked]
        return primary_key(SchemaObject.model_validate({"name": table["name"], "properties": columns}), place)

    return found.read("key", place, read) or ()


def _rules(found: Coverage, table: Mapping[str, Any], drafts: Mapping[str, Contract], place: Place) -> Iterator[Rule]:
    """Uniqueness of single columns, relationships, and the quality of the table."""
    draft = drafts[str(table["name"])]
    links: list[tuple[Place, Mapping[str, Any], str | None]] = []
    rules: list[Rule] = [rule for column in draft.columns for rule in column.rules]
    for index, raw in enumerate(table.get("properties") or []):
        spot, name = place.at("properties", index), str(raw["name"])
        if raw.get("unique") and name in draft.column_names:
            rules.append(Rule(f"{name}_unique", "unique", "error", (name,), {"keys": (name,), "where": None}))
            yield rules[-1]
        links += [(spot.at("relationships", n), link, name) for n, link in enumerate(raw.get("relationships") or [])]
    links += [(place.at("relationships", n), link, None) for n, link in enumerate(table.get("relationships") or [])]
    readers: list[tuple[Kind, Place, Callable[[Sequence[Rule]], Rule], list[str]]] = [
        ("relationship", spot, lambda seen, a=(link, name, spot): relationship(*a, draft, drafts, seen), [])
        for spot, link, name in links
    ]
    for index, entry in enumerate(table.get("quality") or []):
        spot = place.at("quality", index)
        noted = [name for name in entry if name in QUALITY_NOTES]
        readers.append(("quality", spot, lambda seen, a=(entry, spot): table_quality(*a, draft, seen), noted))
    for kind, spot, reader, noted in readers:
        rule = found.read(kind, spot, lambda reader=reader: reader(rules), noted)
        if rule is not None:
            rules.append(rule)
            yield rule
