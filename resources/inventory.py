"""What the lake holds, as `liftlake status` promises it to programs.

Belongs here: counts of the ledger, row counts, versions and canonical digests of the published tables. Does not belong
here: freshness and verdicts (asset checks).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checks.contracts.model import Contract
from ml.digest import canonical_digest
from resources.lake import Lake

# Above this a table is not sorted in this process: 1 GB of text is too much to ask of a laptop.
SORTED_UP_TO_ROWS = 2_000_000
# The column that says which batch brought a row, and the tables that are about batches.
LINEAGE, BOOKS = "batch_id", frozenset({"ingest_ledger", "quarantine"})
COUNTS = ("received", "accepted", "quarantined", "duplicates")


@dataclass(frozen=True)
class Holding:
    """One published table. The four counts are of source records and exist for bronze tables only."""

    rows: int
    version: int
    counts: Mapping[str, int]
    digest: str | None


def ledger_counts(lake: Lake) -> dict[str, dict[str, int]]:
    """Bronze table -> the four counts of the law, over all files."""
    if not lake.exists("bronze.ingest_ledger"):
        return {}
    sums = ", ".join(f"SUM({name}) AS {name}" for name in COUNTS)
    rows = lake.query(f"SELECT table_name, {sums} FROM bronze.ingest_ledger GROUP BY table_name")
    return {row["table_name"]: {name: row[name] for name in COUNTS} for row in rows.iter_rows(named=True)}


def holdings(lake: Lake, contracts: Sequence[Contract], *, with_digests: bool) -> dict[str, Holding]:
    """Every published table by name; digests cost a read of the whole table and are remembered by version."""
    counts = ledger_counts(lake)
    published = lake.existing([contract.published_name for contract in contracts])
    held = [contract for contract in contracts if contract.published_name in published]
    rows = row_counts(lake, [contract.published_name for contract in held])
    found = {}
    for contract in held:
        name = contract.published_name
        version = int(lake.token(contract))
        digest = table_digest(lake, contract, version) if with_digests else None
        known = counts.get(contract.name, {}) if contract.layer == "bronze" else {}
        found[name] = Holding(rows[name], version, known, digest)
    return found


def row_counts(lake: Lake, names: Sequence[str]) -> dict[str, int]:
    """Rows of every named table, in one query."""
    if not names:
        return {}
    parts = [f"SELECT '{name}' AS name, COUNT(*) AS row_count FROM {name}" for name in names]
    return dict(lake.query(" UNION ALL ".join(parts)).iter_rows())


def table_digest(lake: Lake, contract: Contract, version: int) -> str:
    """The canonical digest of a published table: equal for equal rows in any lake; cached by version and contract."""
    cache = lake.settings.home / "digests" / f"{contract.layer}.{contract.name}.json"
    stamp = {"version": version, "contract": contract.sha256}
    if cache.exists():
        known = json.loads(cache.read_text(encoding="utf-8"))
        if {key: known.get(key) for key in stamp} == stamp:
            return str(known["digest"])
    digest = content_digest(lake, contract)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps({**stamp, "digest": digest}), encoding="utf-8")
    return digest


def content_digest(lake: Lake, contract: Contract) -> str:
    """The digest of a table as it is published now, its lineage aside.

    Which batch brought an event depends on the order of delivery and on what was delivered twice; the event does not.
    """
    name = contract.published_name
    columns = [column for column in contract.column_names if column != LINEAGE or contract.name in BOOKS]
    if lake.query(f"SELECT COUNT(*) AS n FROM {name}")["n"][0] > SORTED_UP_TO_ROWS:
        return multiset_digest(lake, name, columns)
    return canonical_digest(lake.read(name, columns), [*(contract.primary_key or columns)])


def multiset_digest(lake: Lake, name: str, columns: Sequence[str]) -> str:
    """SHA-256 over the number of rows and the sums of two hashes of each, computed where the rows are.

    For tables that are too large to sort in this process. A sum does not depend on the order, and two tables with the
    same sums of two 64-bit hashes have the same rows for all practical purposes short of an attack (Bellare and
    Micciancio, A New Paradigm for Collision-Free Hashing, 1997). Spark's hash passes over nulls, so that the row's
    pattern of nulls is hashed with it.
    """
    nulls = ", ".join(f"CAST({column} IS NULL AS STRING)" for column in columns)
    values = ", ".join(columns)
    parts = ", ".join(
        f"CAST(SUM(CAST(XXHASH64({part}, nulls, {values}) AS DECIMAL(38, 0))) AS STRING) AS part_{part}"
        for part in range(2)
    )
    rows = f"SELECT *, CONCAT({nulls}) AS nulls FROM {name}"
    sums = lake.query(f"SELECT COUNT(*) AS row_count, {parts} FROM ({rows})").row(0)
    return hashlib.sha256("/".join(str(value) for value in (*columns, *sums)).encode()).hexdigest()
