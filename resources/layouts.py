"""The columns of a source's files over time.

Belongs here: comparing a file's columns with those of the files that were accepted before. Does not belong here: what a
difference means and what a mode makes of it (checks.contracts.evolution).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from checks.contracts.evolution import Difference, Outcome, SourceColumn, column_differences, judge
from checks.contracts.model import SchemaEvolution
from resources.mapping import TableMapping
from resources.projection import used_columns
from resources.receipts import Receipt
from resources.source_bytes import SourceFileError

Differences = tuple[Difference, ...]
# How the ledger writes the type of a column that had no value at all.
NO_TYPE = "VOID"


def types_of(layout: Iterable[SourceColumn]) -> list[str]:
    """The types as the ledger keeps them."""
    return [NO_TYPE if column.is_all_null else column.type or NO_TYPE for column in layout]


def require_known_columns(
    file_name: str,
    layout: Sequence[SourceColumn],
    rules: TableMapping,
    mode: SchemaEvolution,
    earlier: Iterable[Receipt],
) -> None:
    """Raise SourceFileError when a file's columns differ from earlier files' in a way that the contract's mode forbids.

    Set aside whole it has the rule `file.columns_changed`; refused it has none, and the ingest stops with nothing
    written.
    """
    outcome = judged(rules, mode, layout, earlier)
    if outcome.action != "accept":
        rule = "file.columns_changed" if outcome.action == "quarantine" else None
        raise SourceFileError(f"{file_name}: {outcome.message} Mend the mapping and the contract, or the file.", rule)


def judged(
    rules: TableMapping, mode: SchemaEvolution, layout: Sequence[SourceColumn], earlier: Iterable[Receipt]
) -> Outcome:
    """What becomes of a file with these columns, after the files before it.

    It is compared with the accepted file that it differs from least, so that the order of delivery does not matter to a
    source that has changed once. The first file sets the columns.
    """
    known = {
        tuple(zip(receipt.file_columns, receipt.file_column_types, strict=True))
        for receipt in earlier
        if receipt.outcome == "ingested"
    }
    outcomes = [judge(mode, _differences(rules, layout, columns)) for columns in sorted(known)]
    return min(outcomes, key=lambda outcome: len(outcome.differences), default=judge(mode, ()))


def _differences(rules: TableMapping, layout: Sequence[SourceColumn], known: Iterable[tuple[str, str]]) -> Differences:
    before = [
        SourceColumn(name, None if kind == NO_TYPE else kind, is_all_null=kind == NO_TYPE) for name, kind in known
    ]
    return column_differences(layout, before, used_columns(rules, [column.name for column in before]))
