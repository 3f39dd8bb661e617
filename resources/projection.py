"""The SQL that a source mapping says: canonical columns, times, kinds and flags of its records.

Belongs here: SQL expressions from a mapping. Does not belong here: the shape of a mapping file (mapping), which records
are good (record_rules), running anything (ingest).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC

from resources.mapping import WEEKDAYS, Explode, SourceMapping, TableMapping


def record_projection(mapping: SourceMapping, table: str, raw_columns: tuple[str, ...]) -> list[str]:
    """SQL select items that turn one source record into its canonical columns, times and row hash.

    Columns of an exploded kind stay out (see kind_projection). `row_hash` is over all columns of the record as
    delivered, or as mapped where it is read out of another table's files: it finds candidates for duplicates, the
    declared key or the whole row decides.
    """
    rules = mapping.tables[table]
    zone = mapping.timezone
    items = [f"{lenient(expression)} AS {name}" for name, expression in rules.columns.items()]
    if rules.event_at is not None:
        event = lenient(rules.event_at)
    elif rules.week_start_date is not None:
        event = f"to_utc_timestamp(CAST({lenient(rules.week_start_date)} AS TIMESTAMP), '{zone}')"
    else:
        event = f"TIMESTAMP'{mapping.snapshot_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
    if rules.has_weeks:
        given = lenient(rules.week_start_date) if rules.week_start_date is not None else None
        items.append(f"{given or _week_of(event, mapping)} AS week_start_date")
    known = f"({event}) + INTERVAL '{rules.latency_hours * 3600:.0f}' SECOND"
    if rules.known_at is not None:
        known = lenient(rules.known_at)
    elif rules.lead_days is not None:
        known = f"({event}) - INTERVAL '{rules.lead_days * 86400:.0f}' SECOND"
    # A table read out of another's files repeats what it says there: its rows are told apart by what they say.
    said = [f"({lenient(sql)})" for sql in rules.columns.values()]
    hashed = ", ".join(said if rules.read_from else [f"`{name}`" for name in raw_columns])
    return [*items, f"{event} AS event_at", f"{known} AS known_at", f"xxhash64({hashed}) AS row_hash"]


def mentions(expression: str, column: str) -> bool:
    """Whether a SQL expression reads a column of the file."""
    return re.search(rf"(?<![\w']){re.escape(column)}(?![\w'])", expression) is not None


def used_columns(rules: TableMapping, columns: Iterable[str]) -> frozenset[str]:
    """Those of the columns that the mapping of a table reads anywhere."""
    kinds = rules.explode.kinds.values() if rules.explode else ()
    expressions = [
        *rules.columns.values(), *rules.reject.values(), *rules.flags.values(), *(kind.when for kind in kinds),
        *(expression for kind in kinds for expression in kind.columns.values()),
        *(sql for sql in (rules.event_at, rules.known_at, rules.week_start_date, rules.where) if sql),
    ]  # fmt: skip
    return frozenset(name for name in columns if any(mentions(expression, name) for expression in expressions))


def lenient(expression: str) -> str:
    """The expression with casts that give null instead of stopping the batch; `unread_items` finds those nulls."""
    return re.sub(r"\bCAST\s*\(", "TRY_CAST(", expression, flags=re.IGNORECASE)


def _week_of(instant: str, mapping: SourceMapping) -> str:
    """The first day of the business week that holds a UTC instant, in the source's zone."""
    local = f"CAST(from_utc_timestamp({instant}, '{mapping.timezone}') AS DATE)"
    shift = WEEKDAYS.index(mapping.first_weekday)
    # date_trunc('WEEK') knows Mondays only: move the week's first day onto Monday and back.
    return f"date_add(CAST(date_trunc('WEEK', date_sub({local}, {shift})) AS DATE), {shift})"


def flag_column(index: int) -> str:
    """Name of the hidden column of the flag at that place of the mapping."""
    return f"_flag_{index}"


def kind_flag(label: str) -> str:
    """Name of the hidden column that says whether a record is of a kind."""
    return f"_is_{label}"


def kind_columns(explode: Explode) -> list[str]:
    """SQL select items that a record needs so that it can be exploded: a flag and the columns of each kind."""
    items = [f"{kind.when} AS {kind_flag(label)}" for label, kind in explode.kinds.items()]
    return items + [
        f"{expression} AS _{label}_{name}"
        for label, kind in explode.kinds.items()
        for name, expression in kind.columns.items()
    ]


def kind_rows(explode: Explode) -> str:
    """SQL that makes of a record one row per kind that it is of, with the columns that it gets from that kind."""
    names = sorted({name for kind in explode.kinds.values() for name in kind.columns})
    kinds = []
    for label, kind in explode.kinds.items():
        values = ", ".join(f"'{name}', {f'_{label}_{name}' if name in kind.columns else 'NULL'}" for name in names)
        kinds.append(f"IF({kind_flag(label)}, named_struct('{explode.column}', '{label}', {values}), NULL)")
    return f"inline(filter(array({', '.join(kinds)}), kind -> kind IS NOT NULL))"
