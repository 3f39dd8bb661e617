"""What becomes of a source file whose columns differ from what its mapping knows.

Belongs here: finding and naming the differences, and what each mode makes of them. Does not belong here: reading files,
or how a file is set aside (`resources.ingest`).

Fault 27 of the reliability notes: a new, removed, renamed, re-typed, case-changed or null-only column. No mode lets any
of them pass without a word: `Outcome.message` names each one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from checks.contracts.column_types import type_change
from checks.contracts.model import SchemaEvolution

Kind = Literal["added", "removed", "renamed", "retyped", "case_changed", "all_null", "ambiguous"]
Action = Literal["accept", "quarantine", "refuse"]
# How alike two names must be (0 to 1, difflib's ratio) to be guessed one column under two names.
_ALIKE = 0.6


@dataclass(frozen=True)
class SourceColumn:
    """A column of a source file: its Spark SQL type, None where the mapping has not seen it yet."""

    name: str
    type: str | None = None
    is_all_null: bool = False


@dataclass(frozen=True)
class Difference:
    """One difference. `column` is the name in the file (of a removed column, the known one).

    `is_harmless` says that the mapping reads the file as before: it may be accepted where a source may evolve.
    """

    kind: Kind
    column: str
    is_harmless: bool
    text: str


@dataclass(frozen=True)
class Outcome:
    """What becomes of the file, and why: accept it, set it aside whole, or refuse it and stop."""

    action: Action
    differences: tuple[Difference, ...]
    message: str


def column_differences(
    columns: Sequence[SourceColumn], known: Sequence[SourceColumn], used: Collection[str]
) -> tuple[Difference, ...]:
    """The differences between a file and what its mapping knows, in the order of names; the order of columns is none.

    Args:
        columns: the columns of the file.
        known: the columns as last accepted; a column that was all null then may be so again. Before the first file
            these are the file's own, and what the mapping reads beside them.
        used: known columns that the mapping reads.
    """
    found: list[Difference] = []
    spellings = Counter(column.name.lower() for column in columns)
    before, now = {column.name: column for column in known}, {column.name: column for column in columns}
    lost = {name: column for name, column in before.items() if name not in now}
    new = {name: column for name, column in now.items() if name not in before}
    pairs = [(column, now[name]) for name, column in before.items() if name in now]
    for name in sorted(name for name in lost if spellings[name.lower()]):
        spelled = sorted(other for other in new if other.lower() == name.lower())
        if spelled:
            column, other = lost.pop(name), new.pop(spelled[0])
            pairs.append((column, other))
            text = f"{name} is spelled {other.name}"
            found.append(Difference("case_changed", other.name, is_harmless=True, text=text))
    for name, other in _renames(lost, new).items():
        column, renamed = lost.pop(name), new.pop(other)
        pairs.append((column, renamed))
        text = f"{name} is gone and {other} is new with the same type: renamed?"
        found.append(Difference("renamed", other, is_harmless=name not in used, text=text))
    found += [_removed(name, used) for name in lost]
    found += [_added(column) for column in new.values()]
    for column, other in pairs:
        found += _changed(column, other, is_used=column.name in used)
    for column in columns:
        if spellings[column.name.lower()] > 1:
            text = f"{column.name} differs from another column in case only"
            found.append(Difference("ambiguous", column.name, is_harmless=False, text=text))
    return tuple(sorted(found, key=lambda item: (item.column.lower(), item.column, item.kind)))


def judge(mode: SchemaEvolution, differences: Sequence[Difference]) -> Outcome:
    """What a mode makes of the differences.

    An added column is accepted by every mode and told: the mapping reads the file as before. Of the other differences:
    freeze refuses the file, and the ingest stops before anything is written; quarantine sets the file aside whole, and
    the ingest goes on; evolve accepts harmless ones and sets a file with any other aside.
    """
    found = tuple(differences)
    if not found:
        return Outcome("accept", (), "The columns are as known.")
    others = [item for item in found if item.kind != "added"]
    action: Action = "refuse" if mode == "freeze" else "quarantine"
    if not others or (mode == "evolve" and all(item.is_harmless for item in others)):
        action = "accept"
    return Outcome(action, found, f"{_VERDICTS[action]} ({mode}): {'; '.join(item.text for item in found)}.")


_VERDICTS: dict[Action, str] = {
    "accept": "Accepted with other columns",
    "quarantine": "Set aside because its columns differ",
    "refuse": "Refused because its columns differ",
}


def _removed(name: str, used: Collection[str]) -> Difference:
    purpose = "which the mapping reads" if name in used else "which the mapping does not read"
    return Difference("removed", name, is_harmless=name not in used, text=f"{name}, {purpose}, is gone")


def _added(column: SourceColumn) -> Difference:
    nulls = ", all null" if column.is_all_null else ""
    text = f"{column.name} ({column.type or 'of unknown type'}{nulls}) is new"
    return Difference("added", column.name, is_harmless=True, text=text)


def _changed(before: SourceColumn, now: SourceColumn, *, is_used: bool) -> list[Difference]:
    """Differences between two columns that are one."""
    found = []
    if before.type is not None and now.type is not None:
        change = type_change(before.type, now.type)
        if change != "same":
            is_harmless = change == "widened" or not is_used
            text = f"{now.name} {change} from {before.type} to {now.type}"
            found.append(Difference("retyped", now.name, is_harmless=is_harmless, text=text))
    if now.is_all_null and not before.is_all_null:
        text = f"{now.name} has no value at all"
        found.append(Difference("all_null", now.name, is_harmless=not is_used, text=text))
    return found


def _renames(lost: dict[str, SourceColumn], new: dict[str, SourceColumn]) -> dict[str, str]:
    """Known names to new ones that are probably the same column: one type, like names, no second candidate as good."""
    scored = sorted(
        (
            (SequenceMatcher(None, name.lower(), other.lower()).ratio(), name, other)
            for name, column in lost.items()
            for other, candidate in new.items()
            if column.type is None or candidate.type is None or column.type == candidate.type
        ),
        key=lambda entry: (-entry[0], entry[1], entry[2]),
    )
    pairs: dict[str, str] = {}
    for ratio, name, other in scored:
        if ratio >= _ALIKE and name not in pairs and other not in pairs.values():
            pairs[name] = other
    return pairs
