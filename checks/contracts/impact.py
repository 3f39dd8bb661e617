"""Who uses the columns that changed: tables, features, models and forecasts, from the code that makes them.

Belongs here: how use travels through a graph of tables, given the code of each. Does not belong here: where the code
and the graph come from (`assets.lineage`).

The mechanism is words, not parsing. A table *uses* a changed column when its code names the column, or reads the whole
table. Of its own columns those are hit that carry the same name, that SQL makes from it (`expression AS name`), or that
are declared to come from it (features); all of them when there is none or the column is its key. What is downstream of
such a table and uses none of its hit columns *may use* the change, unless the table is a plain projection.

It over-reports: a name that several tables share counts for each of them, a whole read counts for every column, and
"may use" is everything downstream. It leaves out only a table whose code reads the changed table in SQL that lists
columns and does not name the changed one, and what is downstream of such tables alone. It would miss a column whose
name such SQL puts together at run time.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from checks.contracts.changes import Change
from checks.contracts.model import Contract

Certainty = Literal["uses", "may use"]
_TOKEN = re.compile(r"[A-Za-z_]\w*|[(),]")


@dataclass(frozen=True)
class Consumer:
    """A table and the code that makes it.

    `reads` are the tables it depends on; `whole` those of them that it reads with all columns, `unseen` those that its
    code does not name, so that nothing is known of how it reads them. `derived` maps own columns to the words that
    they are made from. A projection makes each row from one row and drops none, so that a column that is not hit is
    untouched. `is_shown` is false for a step on the way that is no table of the lake.
    """

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    reads: tuple[str, ...]
    words: frozenset[str]
    whole: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()
    derived: Mapping[str, frozenset[str]] = field(default_factory=dict)
    is_projection: bool = False
    is_shown: bool = True


@dataclass(frozen=True)
class Use:
    """One table that a change reaches: through which table, by which columns there, and which of its own are hit."""

    table: str
    certainty: Certainty
    via: str
    by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def words_of(code: str) -> frozenset[str]:
    """Every name in a piece of code."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", code))


def sql_derivations(sql: str) -> dict[str, frozenset[str]]:
    """For every `expression AS name` in SQL, the words of the expression; through names that it gives earlier too."""
    found: dict[str, set[str]] = {}
    frames = [_Frame("")]
    parts = _TOKEN.findall(sql)
    for index, part in enumerate(parts):
        frame, upper = frames[-1], part.upper()
        if part == "(":
            frames.append(_Frame(parts[index - 1].upper() if index else ""))
        elif part == ")" and len(frames) > 1:
            frames[-2].words += frames.pop().words
        elif upper in ("SELECT", "FROM"):
            frame.words, frame.is_query = [], True
        elif part == ",":
            # Inside a call a comma separates the arguments of one item; in a query it separates items.
            frame.words = [] if frame.is_query else frame.words
        elif upper == "AS":
            name = parts[index + 1] if index + 1 < len(parts) else "("
            if frame.opened_by not in ("CAST", "TRY_CAST") and name not in ("(", ")", ","):
                found.setdefault(name, set()).update(frame.words)
        else:
            frame.words.append(part)
    return {name: frozenset(_closed(name, found)) for name in found}


@dataclass
class _Frame:
    """What stands between two brackets so far: the words of the current item."""

    opened_by: str
    words: list[str] = field(default_factory=list)
    is_query: bool = False


def _closed(name: str, found: Mapping[str, Collection[str]]) -> set[str]:
    words, todo = set[str](), [name]
    while todo:
        for word in found.get(todo.pop(), ()):
            if word not in words:
                words.add(word)
                todo.append(word)
    return words


def changed_columns(changes: Iterable[Change], old: Mapping[tuple[str, str], Contract]) -> dict[str, frozenset[str]]:
    """Table to columns that changes other than of words are about; a change of the whole table is about them all."""
    contracts = {contract.published_name: contract for contract in old.values()}
    found: dict[str, set[str]] = {}
    for change in changes:
        if change.table in contracts and change.effect != "neutral":
            is_whole = not change.columns and change.kind not in (
                "column_added",
                "version_not_raised",
                "contract_broken",
            )
            names = contracts[change.table].column_names if is_whole else change.columns
            found.setdefault(change.table, set()).update(names)
    return {table: frozenset(names) for table, names in found.items() if names}


def impact(changed: Mapping[str, Collection[str]], consumers: Sequence[Consumer]) -> tuple[Use, ...]:
    """Every table that changes of columns reach, in the order of `consumers`.

    A changed table is among them only where another changed table reaches it.
    """
    hit = {table: set(columns) for table, columns in changed.items()}
    reached: dict[str, tuple[str, tuple[str, ...]]] = {}
    todo = deque(hit)
    while todo:
        table = todo.popleft()
        for consumer in (item for item in consumers if table in item.reads):
            by = hit[table] if table in consumer.whole else hit[table] & consumer.words
            columns = _hit_columns(consumer, by) if by else set[str]()
            if by and consumer.table not in reached:
                reached[consumer.table] = (table, tuple(sorted(by)))
            if not columns <= hit.get(consumer.table, set()):
                hit[consumer.table] = hit.get(consumer.table, set()) | columns
                todo.append(consumer.table)
    doubtful = _doubtful(hit, reached, consumers)
    found: list[Use] = []
    for consumer in (item for item in consumers if item.is_shown):
        if consumer.table in reached:
            via, by_columns = reached[consumer.table]
            columns = tuple(column for column in consumer.columns if column in hit[consumer.table])
            found.append(Use(consumer.table, "uses", via, by_columns, columns))
        elif consumer.table in doubtful:
            found.append(Use(consumer.table, "may use", doubtful[consumer.table]))
    return tuple(found)


def rules_that_read(
    changed: Mapping[str, Collection[str]], contracts: Mapping[tuple[str, str], Contract]
) -> tuple[tuple[str, str], ...]:
    """(table, rule) of every foreign key and reconciliation of another table that names a changed column."""
    found: list[tuple[str, str]] = []
    for contract in contracts.values():
        for rule in contract.rules:
            given = rule.arguments
            texts = [*given.get("other_columns", ()), *given.get("group_by", ()), given.get("other_where") or ""]
            texts += [there for _, there in given.get("measures", {}).values()]
            if set(changed.get(given.get("other", ""), ())) & words_of(" ".join(texts)):
                found.append((contract.published_name, rule.id))
    return tuple(found)


def _hit_columns(consumer: Consumer, by: Collection[str]) -> set[str]:
    """The columns of a table that are made from changed ones; all of them when the words do not tell which."""
    if set(by) & set(consumer.key):
        return set(consumer.columns)
    named = {name for name in consumer.columns if name in by or consumer.derived.get(name, frozenset()) & set(by)}
    return named or set(consumer.columns)


def _doubtful(hit: Collection[str], reached: Collection[str], consumers: Sequence[Consumer]) -> dict[str, str]:
    """Table to the table that may carry a change to it: below what uses one, and where the code tells nothing."""
    projections = {consumer.table for consumer in consumers if consumer.is_projection}
    found = {item.table: table for item in consumers for table in hit if table in item.unseen}
    todo = deque(table for table in (*reached, *found) if table not in projections)
    while todo:
        table = todo.popleft()
        for consumer in consumers:
            if table in consumer.reads and consumer.table not in found:
                found[consumer.table] = table
                todo.append(consumer.table)
    return found
