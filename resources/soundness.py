"""Whether the files of a lake are whole: what a crash, a full disk or a hand may have broken in them.

Belongs here: looking at Delta logs, checkpoints and data files as files, because a broken table cannot be asked. Does
not belong here: what is in the tables, the machine (preconditions), or removing anything (upkeep).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from checks.contracts.model import LAYERS
from resources.locks import Locked, file_lock
from resources.preconditions import Finding
from resources.settings import Settings

LOG, LAST_CHECKPOINT = "_delta_log", "_last_checkpoint"
COMMIT, CHECKPOINT = re.compile(r"(\d{20})\.json"), re.compile(r"(\d{20})\.checkpoint.*\.parquet")
RUNBOOK = "docs/runbooks/corrupt-log.md"
ORPHANS_SHOWN = 3


@dataclass
class _Table:
    """What the log of one table says: every data file that it ever named, those that are live, and what is broken."""

    name: str
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
    folders = table_folders(settings)
    try:
        with file_lock(settings.home / "writer.lock", wait_seconds=0, busy="busy"):
            found = [item for name, folder in folders.items() for item in inspect_table(name, folder)]
    except Locked:
        # A file that a run has written and not yet committed looks like an orphan.
        found = [item for name, folder in folders.items() for item in inspect_table(name, folder, is_written=True)]
    if settings.spark_remote is not None and not settings.warehouse.is_dir():
        return [Finding("Tables", is_met=True, found=f"not inspected: {settings.warehouse} is not seen from here")]
    whole = Finding("Tables", is_met=True, found=f"{len(folders)} Delta tables, logs and data files whole")
    return found or ([whole] if folders else [])


def table_folders(settings: Settings) -> dict[str, Path]:
    """The Delta tables that lie in the warehouse, by the name that writers use."""
    schemas = [f"{layer}{suffix}" for layer in LAYERS for suffix in ("", "_audit")]
    found = {}
    for schema in schemas:
        for log in sorted((settings.warehouse / f"{schema}.db").glob(f"*/{LOG}")):
            found[f"{schema}.{log.parent.name}"] = log.parent
    return found


def inspect_table(name: str, folder: Path, *, is_written: bool = False) -> list[Finding]:
    """What is broken in one table; `is_written` while another process writes, when no file is called an orphan."""
    table = _Table(name)
    commits = _versions(folder / LOG, COMMIT)
    first = _checkpoints(folder / LOG, commits, table)
    _commits(commits, first, table)
    if not table.findings:
        _data_files(folder, table, is_written=is_written)
    return table.findings


def _versions(log: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    matches = ((pattern.fullmatch(path.name), path) for path in sorted(log.iterdir()))
    return {int(match.group(1)): path for match, path in matches if match}


def _checkpoints(log: Path, commits: dict[int, Path], table: _Table) -> int:
    """Read every checkpoint; returns the version from which commits are needed: after the newest sound one."""
    checkpoints = _versions(log, CHECKPOINT)
    from_start = 0 in commits
    dispensable = "remove it and _last_checkpoint: Delta reads the commits instead" if from_start else f"see {RUNBOOK}"
    needed = 0
    for version, path in checkpoints.items():
        try:
            rows = pq.read_table(path, columns=["add", "remove"]).to_pylist()
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0][:80]
            table.broken(f"checkpoint {path.name} cannot be read ({reason})", dispensable)
            continue
        table.live = set()
        for row in rows:
            table.apply(row)
        needed = version + 1
    pointer = log / LAST_CHECKPOINT
    if pointer.exists():
        try:
            version = int(json.loads(pointer.read_bytes())["version"])
        except (ValueError, KeyError, TypeError):
            table.broken(f"{LAST_CHECKPOINT} is empty or torn", "remove it: Delta looks for checkpoints instead")
        else:
            if version not in checkpoints:
                table.broken(f"{LAST_CHECKPOINT} names checkpoint {version}, which is not there", dispensable)
    return needed if not from_start else 0


def _commits(commits: dict[int, Path], first: int, table: _Table) -> None:
    """Replay the commits; a missing, empty or torn one breaks the table, because rows would vanish without a word."""
    mend = f"restore a backup, or rebuild the table: {RUNBOOK}"
    if not commits:
        table.broken("the log holds no commit", mend)
        return
    for version in range(first, max(commits) + 1):
        if version not in commits:
            table.broken(f"commit {version} is missing", mend)
        else:
            _replay(commits[version], table, mend)


def _replay(commit: Path, table: _Table, mend: str) -> None:
    content = commit.read_bytes()
    # A commit is written whole, its last line with its end, and says of itself what it was.
    try:
        actions = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        table.broken(f"commit {int(commit.stem)} is torn: a line of {commit.name} is no JSON", mend)
        return
    if not any("commitInfo" in action for action in actions) or not content.endswith(b"\n"):
        table.broken(f"commit {int(commit.stem)} is empty or cut off ({len(content):,} bytes)", mend)
        return
    for action in actions:
        table.apply(action)


def _data_files(folder: Path, table: _Table, *, is_written: bool) -> None:
    """Live files that are gone, and files that no version names."""
    present = {path.relative_to(folder).as_posix() for path in _parquet_files(folder)}
    lost = sorted(table.live - present)
    if lost:
        table.broken(f"{len(lost)} data files are missing, {lost[0]} first", f"restore a backup: {RUNBOOK}")
    orphans = sorted(present - table.named)
    if orphans and not is_written:
        shown = ", ".join(orphans[:ORPHANS_SHOWN])
        size = sum((folder / name).stat().st_size for name in orphans)
        found = f"{len(orphans)} data files belong to no version ({size:,} bytes): {shown}"
        table.broken(found, "harmless, left by a stopped write; `liftlake maintain` removes it")


def _parquet_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.parquet"):
        if LOG not in path.parts and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts):
            yield path
