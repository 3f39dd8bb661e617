"""Whether the files of a lake are whole: what a crash, a full disk or a hand may have broken in them.

Belongs here: looking at Delta logs, checkpoints and data files as files, because a broken table cannot be asked. Does
not belong here: what is in the tables, the machine (preconditions), or removing anything (upkeep).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem

from checks.contracts.model import LAYERS
from resources.commits import COMMIT, LAST_CHECKPOINT
from resources.locks import Locked, file_lock
from resources.preconditions import Finding
from resources.settings import Settings
from resources.table_files import content, folder_of, is_there, log_of, table_files

CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")
RUNBOOK = "docs/runbooks/corrupt-log.md"
ORPHANS_SHOWN = 3


@dataclass
class _Table:
    """What the log of one table says: every data file that it ever named, those that are live, and what is broken."""

    name: str
    files: FileSystem
    named: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def broken(self, found: str, mend: str) -> None:
        self.findings.append(Finding(self.name, is_met=False, found=found, mend=mend))

    def apply(self, action: dict[str, Any]) -> None:
        """One action of the log: `add` and `remove` name files, the others none."""
        for kind in ("add", "remove"):
            if action.get(kind) is not None:
                path = unquote(str(action[kind]["path"]))
                self.named.add(path)
                if kind == "add":
                    self.live.add(path)
                else:
                    self.live.discard(path)


def inspect_lake(settings: Settings) -> list[Finding]:
    """Everything that is broken in the lake's files, by table; one good line when nothing is."""
    files = table_files(settings)
    names = written_tables(files)
    try:
        with file_lock(settings.home / "writer.lock", wait_seconds=0, busy="busy"):
            found = [item for name in names for item in inspect_table(files, name)]
    except Locked:
        # A file that a run has written and not yet committed looks like an orphan.
        found = [item for name in names for item in inspect_table(files, name, is_written=True)]
    whole = Finding("Tables", is_met=True, found=f"{len(names)} Delta tables, logs and data files whole")
    return found or ([whole] if names else [])


def written_tables(files: FileSystem) -> list[str]:
    """The Delta tables that lie in the warehouse, by the name that writers use."""
    schemas = [f"{layer}{suffix}" for layer in LAYERS for suffix in ("", "_audit")]
    found = []
    for schema in schemas:
        folders = files.get_file_info(FileSelector(f"{schema}.db", allow_not_found=True))
        tables = sorted(f"{schema}.{item.base_name}" for item in folders)
        found += [name for name in tables if is_there(files, log_of(name))]
    return found


def inspect_table(files: FileSystem, name: str, *, is_written: bool = False) -> list[Finding]:
    """What is broken in one table; `is_written` while another process writes, when no file is called an orphan."""
    table = _Table(name, files)
    log = {item.base_name: item.path for item in files.get_file_info(FileSelector(log_of(name)))}
    commits = _versions(log, COMMIT)
    first = _checkpoints(log, commits, table)
    _commits(commits, first, table)
    if not table.findings:
        _data_files(table, is_written=is_written)
    return table.findings


def _versions(log: Mapping[str, str], pattern: re.Pattern[str]) -> dict[int, str]:
    matches = ((pattern.fullmatch(name), path) for name, path in sorted(log.items()))
    return {int(match.group(1)): path for match, path in matches if match}


def _checkpoints(log: Mapping[str, str], commits: dict[int, str], table: _Table) -> int:
    """Read every checkpoint; returns the version from which commits are needed: after the newest sound one."""
    checkpoints = _versions(log, CHECKPOINT)
    from_start = 0 in commits
    dispensable = "remove it and _last_checkpoint: Delta reads the commits instead" if from_start else f"see {RUNBOOK}"
    needed = 0
    for version, path in checkpoints.items():
        try:
            rows = pq.read_table(path, columns=["add", "remove"], filesystem=table.files).to_pylist()
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0][:80]
            table.broken(f"checkpoint {path.rpartition('/')[2]} cannot be read ({reason})", dispensable)
            continue
        table.live = set()
        for row in rows:
            table.apply(row)
        needed = version + 1
    if LAST_CHECKPOINT in log:
        try:
            version = int(json.loads(content(table.files, log[LAST_CHECKPOINT]))["version"])
        except (ValueError, KeyError, TypeError):
            table.broken(f"{LAST_CHECKPOINT} is empty or torn", "remove it: Delta looks for checkpoints instead")
        else:
            if version not in checkpoints:
                table.broken(f"{LAST_CHECKPOINT} names checkpoint {version}, which is not there", dispensable)
    return needed if not from_start else 0


def _commits(commits: dict[int, str], first: int, table: _Table) -> None:
    """Replay the commits; a missing, empty or torn one breaks the table, because rows would vanish without a word."""
    mend = f"restore a backup, or rebuild the table: {RUNBOOK}"
    if not commits:
        table.broken("the log holds no commit", mend)
        return
    for version in range(first, max(commits) + 1):
        if version not in commits:
            table.broken(f"commit {version} is missing", mend)
        else:
            _replay(version, commits[version], table, mend)


def _replay(version: int, path: str, table: _Table, mend: str) -> None:
    text = content(table.files, path)
    # A commit is written whole, its last line with its end, and says of itself what it was.
    try:
        actions = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        table.broken(f"commit {version} is torn: a line of {version:020}.json is no JSON", mend)
        return
    if not any("commitInfo" in action for action in actions) or not text.endswith(b"\n"):
        table.broken(f"commit {version} is empty or cut off ({len(text):,} bytes)", mend)
        return
    for action in actions:
        table.apply(action)


def _data_files(table: _Table, *, is_written: bool) -> None:
    """Live files that are gone, and files that no version names."""
    present = _parquet_files(table)
    lost = sorted(table.live - {*present})
    if lost:
        table.broken(f"{len(lost)} data files are missing, {lost[0]} first", f"restore a backup: {RUNBOOK}")
    orphans = sorted({*present} - table.named)
    if orphans and not is_written:
        shown = ", ".join(orphans[:ORPHANS_SHOWN])
        size = sum(present[name] for name in orphans)
        found = f"{len(orphans)} data files belong to no version ({size:,} bytes): {shown}"
        table.broken(found, "harmless, left by a stopped write; `liftlake maintain` removes it")


def _parquet_files(table: _Table) -> dict[str, int]:
    """The data files in a table's folder, as its log names them, and their bytes."""
    folder = folder_of(table.name)
    found = {}
    for item in table.files.get_file_info(FileSelector(folder, recursive=True)):
        name = item.path.removeprefix(f"{folder}/")
        if item.extension == "parquet" and not any(part.startswith((".", "_")) for part in name.split("/")):
            found[name] = item.size
    return found
