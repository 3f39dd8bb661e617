"""Two versions of the contracts, compared: each change breaking, additive or neutral.

Belongs here: tables, columns, keys, service levels, versions. Does not belong here: rules (`changes`), who uses what
changed (`impact`), where the versions come from (the command line).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from checks.contracts.changes import Change, breaking, rule_changes
from checks.contracts.column_types import type_change
from checks.contracts.model import Column, Contract, Rule
from checks.contracts.place import ContractError

Contracts = Mapping[tuple[str, str], Contract]
_TOLERANCE = ("freeze", "quarantine", "evolve")


def diff_contracts(old: Contracts, new: Contracts, errors: Sequence[ContractError] = ()) -> tuple[Change, ...]:
    """Every change between two sets of contracts, by table.

    `errors` are those of the new version: a rule that does not compile any more is a breaking change of its own, and a
    breaking change without a new major version another one.
    """
    changes: list[Change] = []
    for key in dict.fromkeys((*old, *new)):
        before, now = old.get(key), new.get(key)
        if before is None and now is not None:
            changes.append(Change(now.published_name, "table_added", "the table is new", "additive"))
        elif before is not None and now is None:
            changes.append(_table_removed(before))
        elif before is not None and now is not None:
            changes += _with_version(before, now, [*_table(before, now), *_broken(now, errors)])
    return tuple(changes)


def _table_removed(old: Contract) -> Change:
    name = old.published_name
    return breaking(name, "table_removed", "the table is gone", "readers", "writers", columns=old.column_names)


def _broken(new: Contract, errors: Sequence[ContractError]) -> Iterator[Change]:
    for error in errors:
        if error.file == new.file:
            text = f"does not compile: {error.path}: {error.rule}"
            yield breaking(new.published_name, "contract_broken", text, "readers", "writers")


def _with_version(old: Contract, new: Contract, changes: list[Change]) -> list[Change]:
    """The changes and, where the version does not say what they are, that as well."""
    before, now = _numbers(old.version), _numbers(new.version)
    name, step = old.published_name, f"{old.version} to {new.version}"
    if now < before:
        changes.append(breaking(name, "version_lowered", f"the version goes back from {step}", "readers"))
    elif now[0] == before[0] and any(change.effect == "breaking" for change in changes):
        text = f"breaking changes need a new major version: {step}"
        changes.append(breaking(name, "version_not_raised", text, "readers"))
    elif now != before:
        changes.append(Change(name, "version_raised", f"the version goes from {step}"))
    return changes


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _table(old: Contract, new: Contract) -> Iterator[Change]:
    yield from _columns(old, new)
    yield from _key(old, new)
    yield from rule_changes(old.published_name, *_explicit_rules(old, new))
    yield from _freshness(old, new)
    yield from _about(old, new)


def _explicit_rules(old: Contract, new: Contract) -> tuple[list[Rule], list[Rule]]:
    """The rules to compare. What follows from a column that came or went is told with the column."""
    gone = set(old.column_names) - set(new.column_names)
    come = set(new.column_names) - set(old.column_names)
    before = [rule for column in old.columns for rule in column.rules] + list(old.rules)
    now = [rule for column in new.columns for rule in column.rules] + list(new.rules)
    kept = {rule.id for rule in before} & {rule.id for rule in now}
    return (
        [rule for rule in before if rule.id in kept or not gone & set(rule.columns)],
        [rule for rule in now if rule.id in kept or not come & set(rule.columns)],
    )


def _columns(old: Contract, new: Contract) -> Iterator[Change]:
    table, before, now = old.published_name, set(old.column_names), set(new.column_names)
    come = {name.lower(): name for name in new.column_names if name not in before}
    for column in old.columns:
        other = come.get(column.name.lower())
        if column.name in now:
            yield from _column(table, column, new.column(column.name))
        elif other is not None:
            text = f"column {column.name} is spelled {other}: engines differ on whether that is one name"
            yield breaking(table, "column_case_changed", text, "readers", "writers", columns=[column.name])
            yield from _column(table, column, new.column(other))
        else:
            text = f"column {column.name} ({column.type}) is gone{_hint(old, new, column)}"
            yield breaking(table, "column_removed", text, "readers", columns=[column.name])
    spelled = {name.lower() for name in before - now}
    for column in new.columns:
        if column.name not in before and column.name.lower() not in spelled:
            yield _column_added(table, column)
    if [name for name in old.column_names if name in now] != [name for name in new.column_names if name in before]:
        text = "the columns stand in another order: whoever reads or writes by position gets other columns"
        yield breaking(table, "columns_reordered", text, "readers", "writers")


def _hint(old: Contract, new: Contract, column: Column) -> str:
    """Words for a column that probably has another name now: a new one of the same type at the same position."""
    index = old.column_names.index(column.name)
    if index >= len(new.columns):
        return ""
    other = new.columns[index]
    if other.name in old.column_names or other.type != column.type:
        return ""
    return f"; {other.name} is new with its type and position: renamed?"


def _column_added(table: str, column: Column) -> Change:
    text = f"column {column.name} ({column.type}) is new"
    if column.is_nullable:
        return Change(table, "column_added", text, "additive")
    return breaking(table, "column_added", f"{text} and required: rows without it are refused", "writers")


def _column(table: str, old: Column, new: Column) -> Iterator[Change]:
    """Changes of a column that is there in both versions, but for its rules."""
    name, columns = new.name, [old.name]
    change = type_change(old.type, new.type)
    text = f"column {name} goes from {old.type} to {new.type}"
    if change == "widened":
        text = f"{text}, which holds every old value; readers that declare the type must follow"
        yield Change(table, "column_widened", text, "additive", columns=tuple(columns))
    elif change != "same":
        yield breaking(table, f"column_{change}", text, "readers", "writers", columns=columns)
    if old.is_nullable and not new.is_nullable:
        text = f"column {name} is required now: rows without it are refused"
        yield breaking(table, "column_required", text, "writers", columns=columns)
    if new.is_nullable and not old.is_nullable:
        text = f"column {name} may be null now: readers that do not expect it break"
        yield breaking(table, "column_nullable", text, "readers", columns=columns)
    if old.classification != new.classification:
        text = (
            f"column {name} is classified {new.classification or 'as nothing'}, was {old.classification or 'nothing'}"
        )
        yield Change(table, "classification_changed", text, columns=tuple(columns))
    if old.description != new.description:
        yield Change(table, "description_changed", f"column {name} is described anew", columns=tuple(columns))


def _key(old: Contract, new: Contract) -> Iterator[Change]:
    if old.primary_key != new.primary_key:
        before, now = (", ".join(key) or "none" for key in (old.primary_key, new.primary_key))
        columns = dict.fromkeys((*old.primary_key, *(name for name in new.primary_key if name in old.column_names)))
        text = f"the key goes from ({before}) to ({now}): joins and duplicates mean something else"
        yield breaking(old.published_name, "key_changed", text, "readers", "writers", columns=tuple(columns))
    if old.week_column != new.week_column:
        text = f"its business week is {new.week_column}, no longer {old.week_column}: a run replaces other rows"
        yield Change(old.published_name, "week_changed", text)


def _freshness(old: Contract, new: Contract) -> Iterator[Change]:
    table, before, now = old.published_name, old.freshness, new.freshness
    if before.column != now.column:
        text = f"freshness is told by {now.column or 'the inputs'}, was {before.column or 'the inputs'}"
        yield breaking(table, "sla_changed", text, "readers")
    if before.every_week != now.every_week:
        if before.every_week:
            yield breaking(table, "sla_loosened", "rows for every business week are promised no more", "readers")
        else:
            yield Change(table, "sla_tightened", "rows are promised for every business week", "additive")
    if before.days != now.days:
        text = f"freshness goes from {before.days:g} to {now.days:g} days"
        if now.days > before.days:
            yield breaking(table, "sla_loosened", text, "readers")
        else:
            yield Change(table, "sla_tightened", text, "additive")


def _about(old: Contract, new: Contract) -> Iterator[Change]:
    table = old.published_name
    if old.owner != new.owner:
        yield Change(table, "owner_changed", f"the owner goes from {old.owner} to {new.owner}")
    if old.description != new.description:
        yield Change(table, "description_changed", "the table is described anew")
    if old.tags != new.tags:
        yield Change(table, "tags_changed", f"tags go from {', '.join(old.tags)} to {', '.join(new.tags)}")
    if old.schema_evolution != new.schema_evolution:
        text = f"files with other columns: {old.schema_evolution} becomes {new.schema_evolution}"
        if _TOLERANCE.index(new.schema_evolution) < _TOLERANCE.index(old.schema_evolution):
            yield breaking(table, "evolution_tightened", text, "writers")
        else:
            yield Change(table, "evolution_loosened", text, "additive")
