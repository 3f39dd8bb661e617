"""What the commits of the lake's tables say: versions, and what each was made from.

Belongs here: reading the newest commits of Delta's log, and which files they added. Does not belong here: making
commits (lake), whether a log is whole (soundness).

They are read as files (Delta Transaction Log Protocol: a commit is a file of JSON actions, of which `commitInfo` is
one). The same as a query takes Spark a job a table, hundreds of times in a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote

from pyarrow.fs import FileSelector, FileSystem

from resources.table_files import content, folder_of, is_there, log_of

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# Operations that are commits and change no row.
UPKEEP = ("OPTIMIZE", "VACUUM START", "VACUUM END")
# So many newest commits are looked through for one that is no upkeep.
UPKEEP_AT_MOST = 10
COMMIT, LAST_CHECKPOINT = re.compile(r"(\d{20})\.json"), "_last_checkpoint"


TORN = "Commit {version} of {table} is torn: `liftlake doctor` says what is broken and how it is mended."


class BrokenLog(RuntimeError):
    """A commit of a table cannot be read; the message names it."""


class CommittedTwice(RuntimeError):
    """An append is in its table twice; whoever writes next takes its batch back, and it is read again."""


@dataclass(frozen=True)
class Provenance:
    """What a table version was made from; stored in its Delta commit and, once published, on its view.

    Attributes:
        code: digest of the code and settings that made it.
        inputs: upstream table -> its version token at that time.
        through: the last business week that is in it (ISO date), for partitioned tables.
        made: the business weeks that this version replaced (texts of resources.spans); None: all rows.
        behind: the business weeks that are as an earlier version had them, although these inputs touch them.
    """

    code: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    through: str | None = None
    made: list[str] | None = None
    behind: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Provenance:
        return Provenance(**json.loads(text))


@dataclass(frozen=True)
class Commit:
    """A version of a table. `provenance` is None when it was not written by Liftlake.

    `rows_written` is how many rows it wrote, by its own account; None where it says nothing of that.
    """

    version: int
    provenance: Provenance | None
    rows_written: int | None = None


def newest_commit(files: FileSystem, table: str) -> Commit:
    """The newest version of a table, its upkeep aside.

    Raises:
        LookupError: the table was never written. BrokenLog: its newest commit is torn.
    """
    newest = _newest_version(files, table)
    for version in range(newest, max(newest - UPKEEP_AT_MOST, -1), -1):
        found = _commit(files, table, version)
        if found is not None:
            return found
    return Commit(newest, None)


def commits_between(files: FileSystem, table: str, after: int, last: int) -> list[Commit]:
    """The versions of a table after one and up to another, newest first, its upkeep aside.

    One whose commit is no longer kept is there, without its provenance.
    """
    found = (_commit(files, table, version) for version in range(last, after, -1))
    return [commit for commit in found if commit is not None]


def added_files(files: FileSystem, table: str, version: int) -> list[str] | None:
    """The files that hold the rows that a version added and no others.

    None: it took rows away as well, its commit is no longer kept, or its files do not hold whole rows (partitions,
    deletion vectors). Raises BrokenLog.
    """
    try:
        actions = _actions(files, table, version)
    except FileNotFoundError:
        return None
    added = [action["add"] for action in actions if "add" in action]
    is_plain = all(item["dataChange"] and not item["partitionValues"] and not item.get("deletionVector")
                   for item in added)  # fmt: skip
    if not is_plain or any("remove" in action for action in actions):
        return None
    return [f"{folder_of(table)}/{unquote(item['path'])}" for item in added]


def _newest_version(files: FileSystem, table: str) -> int:
    """The newest version, by few looks: commits have no gaps, so that the last one after a checkpoint is searched."""
    version, step = _checkpointed(files, table), 1
    while is_there(files, _path(table, version + step)):
        version, step = version + step, 2 * step
    while step > 1:
        step //= 2
        if is_there(files, _path(table, version + step)):
            version += step
    if version >= 0:
        return version
    # Without a pointer to a checkpoint, of a log whose first commits are no longer kept.
    log = files.get_file_info(FileSelector(log_of(table), allow_not_found=True))
    kept = [int(item.base_name[:20]) for item in log if COMMIT.fullmatch(item.base_name)]
    if not kept:
        raise LookupError(f"{table} was never written: materialise its asset first.")
    return max(kept)


def _checkpointed(files: FileSystem, table: str) -> int:
    """The version of the last checkpoint; -1 where there is none or its pointer is torn."""
    try:
        pointer = content(files, f"{log_of(table)}/{LAST_CHECKPOINT}")
        return int(json.loads(pointer)["version"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return -1


def _commit(files: FileSystem, table: str, version: int) -> Commit | None:
    """What a commit says of itself; None for upkeep. Raises BrokenLog."""
    try:
        actions = _actions(files, table, version)
    except FileNotFoundError:
        return Commit(version, None)
    about = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    if about.get("operation") in UPKEEP:
        return None
    text, rows = about.get("userMetadata"), about.get("operationMetrics", {}).get("numOutputRows")
    return Commit(version, Provenance.from_json(text) if text else None, None if rows is None else int(rows))


def _actions(files: FileSystem, table: str, version: int) -> list[dict[str, Any]]:
    """The actions of a commit. Raises FileNotFoundError: it is not kept; BrokenLog."""
    lines = content(files, _path(table, version)).splitlines()
    try:
        actions = [json.loads(line) for line in lines]
    except ValueError as error:
        raise BrokenLog(TORN.format(version=version, table=table)) from error
    if not actions:
        raise BrokenLog(TORN.format(version=version, table=table))
    return actions


def _path(table: str, version: int) -> str:
    return f"{log_of(table)}/{version:020}.json"
