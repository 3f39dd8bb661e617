"""Which files belong to which table of a source.

Belongs here: names and folders. Does not belong here: what is in the files (records, staging).
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from resources.mapping import SourceMapping
from resources.source_bytes import SourceFileError

# How senders name a file that they are still writing.
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".inprogress")


def table_of(mapping: SourceMapping, name: str) -> str | None:
    """The table that a file name belongs to, `.gz` aside; None for no table or a file that is still being written.

    Where patterns overlap (campaigns*, campaign_descriptions*) the longest decides.
    """
    if name.startswith((".", "_")) or name.endswith(UNFINISHED):
        return None
    plain = name.removesuffix(".gz")
    fitting = [(len(rules.pattern), table) for table, rules in mapping.tables.items() if fnmatch(plain, rules.pattern)]
    return max(fitting)[1] if fitting else None


def matching_files(mapping: SourceMapping, path: Path) -> list[tuple[str, Path]]:
    """(table, file) for a file, or for every file in a folder in name order, that belongs to a table."""
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    tables = [(table_of(mapping, file.name), file) for file in files]
    return [(table, file) for table, file in tables if table is not None]


def source_files(mapping: SourceMapping, table: str, folders: tuple[Path, ...]) -> list[Path]:
    """The files of one table in `folders`, in the order of folders and names.

    Raises:
        SourceFileError: no folder holds a file of that table.
    """
    found = [file for folder in folders for name, file in matching_files(mapping, folder) if name == table]
    if not found:
        where = " or ".join(str(folder) for folder in folders)
        pattern = mapping.tables[table].pattern
        raise SourceFileError(f"Source {mapping.source}: no file {pattern} for table {table} in {where}.")
    return found
