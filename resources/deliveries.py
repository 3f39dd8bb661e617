"""Which files belong to which table of a source.

Belongs here: names and folders. Does not belong here: what is in the files (records, staging).
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

from resources.mapping import SourceMapping
from resources.source_bytes import SourceFileError, file_sha256

# How senders name a file that they are still writing.
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".inprogress")
# What `sha256sum * > SHA256SUMS` writes. A folder that has one is a delivery of exactly the files that it lists.
MANIFEST = "SHA256SUMS"
_ENTRY = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>[^/\0]+)")


def table_of(mapping: SourceMapping, name: str) -> str | None:
    """The table that a file name belongs to, `.gz` aside; None for no table or a file that is still being written.

    Where patterns overlap (campaigns*, campaign_descriptions*) the longest decides.
    """
    if name.startswith((".", "_")) or name.endswith(UNFINISHED):
        return None
    plain = name.removesuffix(".gz")
    owners = {table: rules for table, rules in mapping.tables.items() if rules.read_from is None}
    fitting = [(len(rules.pattern), table) for table, rules in owners.items() if fnmatch(plain, rules.pattern)]
    return max(fitting)[1] if fitting else None


def tables_of(mapping: SourceMapping, owner: str) -> list[str]:
    """The table that files belong to, then those that are read out of the same files."""
    return [owner, *(table for table, rules in mapping.tables.items() if rules.read_from == owner)]


def matching_files(mapping: SourceMapping, path: Path) -> list[tuple[str, Path]]:
    """(table, file) for a file, or for every complete file in a folder in name order, that belongs to a table.

    A file of a folder with a manifest is complete when the manifest lists it and its bytes are those listed.

    Raises:
        SourceFileError: the manifest cannot be read.
    """
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    if (path / MANIFEST).is_file():
        listed = read_manifest(path / MANIFEST)
        files = [file for file in files if file.name in listed and file_sha256(file) == listed[file.name]]
    tables = [(table_of(mapping, file.name), file) for file in files]
    return [(table, file) for table, file in tables if table is not None]


def read_manifest(path: Path) -> dict[str, str]:
    """File name -> SHA-256 of its bytes, as a manifest lists them.

    Raises:
        SourceFileError: a line is not what `sha256sum` writes.
    """
    listed = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise SourceFileError(f"{path} line {number} is not of the form 'SHA-256  NAME': write it with sha256sum.")
        listed[entry["name"]] = entry["sha256"]
    return listed


def source_files(mapping: SourceMapping, table: str, folders: tuple[Path, ...]) -> list[Path]:
    """The files of one table in `folders`, in the order of folders and names.

    Raises:
        SourceFileError: no folder holds a file of that table, and the source has files of its own
            and no topic for it.
    """
    owner = mapping.tables[table].read_from or table
    found = [file for folder in folders for name, file in matching_files(mapping, folder) if name == owner]
    if not found and mapping.files is not None and mapping.tables[table].topic is None:
        where = " or ".join(str(folder) for folder in folders)
        pattern = mapping.tables[table].pattern
        raise SourceFileError(f"Source {mapping.source}: no file {pattern} for table {table} in {where}.")
    return found
