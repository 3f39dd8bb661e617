"""One rule or service level of any ODCS document, by the functions that read our own contracts.

Belongs here: taking away what says nothing about the rows, so that those functions see what they would see in a
contract of ours. Does not belong here: the walk over a document (`coverage`). Every function raises ContractError with
the reason when a part cannot be emitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from open_data_contract_standard.model import DataQuality, Relationship, SchemaProperty

from checks.contracts.column_types import logical_type
from checks.contracts.model import Contract, Rule
from checks.contracts.place import Place
from checks.contracts.quality import Table, column_rule, option_rules, table_rule
from checks.contracts.relationships import foreign_key

# What an entry of quality says to people and to the schedulers of other tools.
QUALITY_NOTES = (
    "authoritativeDefinitions", "businessImpact", "customProperties", "dimension", "method", "name", "schedule",
    "scheduler", "tags",
)  # fmt: skip


def option(
    raw: Mapping[str, Any],
    spark: str | None,
    name: str,
    value: Any,
    emitted: Mapping[str, Any],
    place: Place,
    lost: str | None,
) -> str:
    """One of a column's logicalTypeOptions beside those that were emitted before; the rule it belongs to."""
    spot = place.at("logicalTypeOptions").at(name)
    if lost is not None or spark is None:
        raise spot.error(lost or "")
    rules = with_options(raw, spark, {name: value}, place)
    if not rules:
        raise spot.error("says how values are written or nested, which is not checked")
    with_options(raw, spark, {**emitted, name: value}, place)
    return f"rule {rules[0].id}"


def with_options(raw: Mapping[str, Any], spark: str, options: Mapping[str, Any], place: Place) -> tuple[Rule, ...]:
    """The rules of a column's logicalTypeOptions."""
    return option_rules(_property(raw, spark, logicalTypeOptions=dict(options)), place)


def column_quality(
    raw: Mapping[str, Any],
    spark: str | None,
    entry: Mapping[str, Any],
    seen: Iterable[Rule | None],
    place: Place,
    lost: str | None,
) -> Rule:
    """One entry of a column's quality."""
    if lost is not None or spark is None:
        raise place.error(lost or "")
    rule = column_rule(DataQuality.model_validate(_entry(entry, place)), _property(raw, spark), place)
    return _new(rule, [other for other in seen if other is not None], place)


def table_quality(entry: Mapping[str, Any], place: Place, draft: Contract, seen: Sequence[Rule]) -> Rule:
    """One entry of a table's quality."""
    rule = table_rule(DataQuality.model_validate(_entry(entry, place)), _facts(draft), place)
    return _new(rule, seen, place)


def relationship(
    entry: Mapping[str, Any],
    column: str | None,
    place: Place,
    draft: Contract,
    drafts: Mapping[str, Contract],
    seen: Sequence[Rule],
) -> Rule:
    """One relationship to a table of the same document, which the standard writes as table.column."""
    if column is not None and column not in draft.column_names:
        raise place.error("its column is not emitted")
    ends = entry["to"] if isinstance(entry["to"], list) else [entry["to"]]
    targets = [_target(str(end), drafts, place) for end in ends]
    link = Relationship.model_validate({
        "from": entry.get("from"),
        "to": targets if isinstance(entry["to"], list) else targets[0],
    })  # fmt: skip
    rule = foreign_key(link, _facts(draft), place, column)
    other = drafts[rule.arguments["other"].partition(".")[2]]
    for here, there in zip(rule.arguments["keys"], rule.arguments["other_columns"], strict=True):
        if draft.column(here).type != other.column(there).type:
            raise place.error(f"{here} and {other.name}.{there} differ in type")
    return _new(rule, seen, place)


def _target(end: str, drafts: Mapping[str, Contract], place: Place) -> str:
    """table.column as the reference that our contracts use."""
    table, _, column = end.partition(".")
    if table not in drafts or column not in drafts[table].column_names:
        raise place.at("to").error(f"{end!r} is no emitted column of this document")
    return f"{table.lower()}.odcs.yaml#/schema/{table}/properties/{column}"


def _property(raw: Mapping[str, Any], spark: str, **more: Any) -> SchemaProperty:
    """The column with only what its rules depend on."""
    logical = raw.get("logicalType") or logical_type(spark)
    return SchemaProperty.model_validate(
        {"name": raw["name"], "logicalType": logical, "required": raw.get("required"), **more}
    )


def _entry(entry: Mapping[str, Any], place: Place) -> dict[str, Any]:
    if entry.get("unit") not in (None, "rows"):
        raise place.at("unit").error(f"counts in {entry['unit']!r}; here every rule counts rows")
    return {name: value for name, value in entry.items() if name not in (*QUALITY_NOTES, "unit")}


def _facts(draft: Contract) -> Table:
    return Table(draft.layer, draft.name, draft.column_names)


def _new(rule: Rule, seen: Iterable[Rule], place: Place) -> Rule:
    if rule.id in {other.id for other in seen}:
        raise place.error(f"there is a rule {rule.id!r} already: give this one an id")
    return rule
