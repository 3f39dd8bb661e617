"""Upkeep of a lake's tables: small files made large, and files that nobody can ask for removed.

Belongs here: which versions of a table are still pinned, and OPTIMIZE and VACUUM that keep them. Does not belong here:
runs and event logs (run_pruning), what is broken (soundness).

VACUUM knows no pins: it removes what left the table longer ago than it is told. So it is told, table by table, a span
that reaches back to the oldest version that something pins: the view that readers use, the version of bronze that a
published table was made from, and the newest version itself. A table that remembers its removed files for less than
that span is left as it is. Training sets and models own copies of their rows and pin no version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from checks.contracts.model import Contract
from resources.lake import Lake
from resources.lake_file import Retention
from resources.table_files import within_warehouse

# A commit's time and those of its removed files differ by the length of the write.
MARGIN = timedelta(hours=1)
# Delta's default, for tables of earlier releases.
DELTA_REMEMBERS = timedelta(days=7)
SMALL_FILE_BYTES = 16 * 1024**2
CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
# By default Delta takes no notice of the span that it is told.
IGNORED = "spark.databricks.delta.vacuum.retentionWindowIgnore.enabled"
LOGGING = "spark.databricks.delta.vacuum.logging.enabled"


@dataclass(frozen=True)
class Freed:
    """What upkeep did to one part of the lake, or would do: files and bytes that are gone, files made one."""

    part: str
    files: int
    bytes: int
    compacted: int = 0


def pinned_versions(lake: Lake, contracts: Sequence[Contract]) -> dict[str, set[int]]:
    """Table to the versions that must stay readable."""
    pins: dict[str, set[int]] = {}
    newest = lake.newest_of(contracts)
    for contract in contracts:
        if contract.key not in newest:
            continue
        pins.setdefault(contract.published_name, set()).add(newest[contract.key].version)
        state = lake.publication(contract)
        if state is not None:
            pins[contract.published_name].add(state.version)
            for table, token in state.provenance.inputs.items():
                if table.startswith("bronze."):
                    pins.setdefault(table, set()).add(int(token))
    return pins


def keep_tables(lake: Lake, contracts: Sequence[Contract], policy: Retention, *, is_dry: bool) -> Iterator[Freed]:
    """Compact and vacuum every table of the lake; what each freed, upstream first.

    Only bronze is compacted: it grows by a file with every delivery and is read as it is. Every other table is written
    anew by its runs, and its readers stay on the version that was audited.

    Raises:
        Locked: another run is writing to the lake.
    """
    lake.claim()
    pins = pinned_versions(lake, contracts)
    for contract in contracts:
        if contract.published_name in pins:
            compacted = _compact(lake, contract, policy, is_dry=is_dry) if contract.layer == "bronze" else 0
            files, size = _vacuum(lake, contract, min(pins[contract.published_name]), policy, is_dry=is_dry)
            yield Freed(contract.audit_name, files, size, compacted)


def _compact(lake: Lake, contract: Contract, policy: Retention, *, is_dry: bool) -> int:
    """Make small files one when there are many; returns how many there were."""
    detail = lake.spark.sql(f"DESCRIBE DETAIL {contract.audit_name}").collect()[0]
    count, size = int(detail["numFiles"]), int(detail["sizeInBytes"])
    if count < policy.compact_from_files or size / max(count, 1) >= SMALL_FILE_BYTES:
        return 0
    if not is_dry:
        lake.spark.sql(f"OPTIMIZE {contract.audit_name}")
    return count


def _vacuum(lake: Lake, contract: Contract, oldest: int, policy: Retention, *, is_dry: bool) -> tuple[int, int]:
    """(files, bytes) that leave the table's folder."""
    span = _span(lake, contract, oldest, policy)
    if span > _remembered(lake, contract):
        return 0, 0
    hours = span / timedelta(hours=1)
    statement = f"VACUUM {contract.audit_name} RETAIN {hours:.4f} HOURS"
    with lake.set_to({CHECK: "false", IGNORED: "false", LOGGING: "false"}):
        paths = [str(row["path"]) for row in lake.spark.sql(f"{statement} DRY RUN").collect()]
        named = [within_warehouse(lake.settings, path) for path in paths]
        sizes = [item.size for item in lake.files.get_file_info(named) if item.is_file]
        if not is_dry and paths:
            lake.spark.sql(statement)
    return len(sizes), sum(sizes)


def _remembered(lake: Lake, contract: Contract) -> timedelta:
    """How long the table knows which files left it; VACUUM removes the others as if nothing had ever named them."""
    rows = lake.spark.sql(f"SHOW TBLPROPERTIES {contract.audit_name}").collect()
    said = {row["key"]: str(row["value"]) for row in rows}.get("delta.deletedFileRetentionDuration", "")
    days = re.fullmatch(r"interval (\d+) days", said)
    return timedelta(days=int(days[1])) if days else DELTA_REMEMBERS


def _span(lake: Lake, contract: Contract, oldest: int, policy: Retention) -> timedelta:
    """How far back files have to stay: to the policy's days, and to the commit after the oldest pinned version."""
    span = timedelta(days=policy.table_days)
    history = lake.spark.sql(f"DESCRIBE HISTORY {contract.audit_name}").where(f"version > {oldest}")
    later = history.selectExpr("MIN(CAST(timestamp AS TIMESTAMP)) AS at").toArrow()["at"][0].as_py()
    if later is None:
        return span
    return max(span, datetime.now(UTC) - later.astimezone(UTC) + MARGIN)
