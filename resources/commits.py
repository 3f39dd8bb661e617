"""What the commits of the lake's tables say: versions, and what each was made from.

Belongs here: reading Delta's log, of one table or of all of them at once. Does not belong here: making commits (lake).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pyspark.sql import SparkSession

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# Operations that are commits and change no row.
UPKEEP = ("OPTIMIZE", "VACUUM START", "VACUUM END")
# The names of commits in a table's log; checkpoints and compacted commits are named otherwise.
_COMMIT = "[0-9]" * 20 + ".json"
_PLACE = re.compile(r"/([^/]+)\.db/([^/]+)/_delta_log/(\d+)\.json$")


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
    """A version of a table. `provenance` is None when it was not written by Liftlake."""

    version: int
    provenance: Provenance | None


def newest_commit(spark: SparkSession, table: str) -> Commit:
    """The newest version of a table, its upkeep aside."""
    rows = spark.sql(f"DESCRIBE HISTORY {table} LIMIT 10").collect()
    return _newest((row["version"], row["operation"], row["userMetadata"]) for row in rows)


def newest_commits(spark: SparkSession, warehouse: Path, tables: Iterable[str]) -> dict[str, Commit]:
    """The newest version of many tables that exist, in one read of their logs.

    `newest_commit` of each takes a Spark job a table: eight times as long on the 45 tables of the demo. A commit is a
    file of JSON actions, of which `commitInfo` is one (Delta Transaction Log Protocol, its section on actions).
    """
    wanted = set(tables)
    if not wanted:
        return {}
    logs = [f"{warehouse}/{table.replace('.', '.db/')}/_delta_log/{_COMMIT}" for table in sorted(wanted)]
    read = spark.read.schema("commitInfo STRUCT<operation: STRING, userMetadata: STRING>").json(logs)
    found: dict[str, list[tuple[int, str, str | None]]] = {}
    about = read.where("commitInfo IS NOT NULL").selectExpr("_metadata.file_path AS place", "commitInfo.*")
    for row in about.collect():
        place = _PLACE.search(row["place"])
        assert place is not None
        schema, name, version = place.groups()
        found.setdefault(f"{schema}.{name}", []).append((int(version), row["operation"], row["userMetadata"]))
    return {table: _newest(sorted(commits, reverse=True)) for table, commits in found.items()}


def commits_between(spark: SparkSession, table: str, after: int, last: int) -> list[Commit]:
    """The versions of a table after one and up to another, newest first, its upkeep aside."""
    rows = spark.sql(f"DESCRIBE HISTORY {table}").collect()
    kept = [row for row in rows if after < row["version"] <= last and row["operation"] not in UPKEEP]
    return [_newest([(row["version"], row["operation"], row["userMetadata"])]) for row in kept]


def _newest(newest_first: Iterable[tuple[int, str, str | None]]) -> Commit:
    commits = list(newest_first)
    version, _, text = next((commit for commit in commits if commit[1] not in UPKEEP), commits[0])
    return Commit(version, Provenance.from_json(text) if text else None)
