"""The assignment log in the lake: reading it, and adding entries to it.

Belongs here: the table bronze.action_assignments. Does not belong here: what an entry says, and which decisions are
refused (ml.action_assignments).
"""

from __future__ import annotations

import hashlib

import polars as pl

from checks.contracts.model import Contract
from ml.action_assignments import ASSIGNMENT_SCHEMA, standing
from resources.commits import Provenance
from resources.lake import Lake

CODE = "liftlake actions"


def read_log(lake: Lake, contract: Contract) -> pl.DataFrame:
    """All entries in order; none where nobody decided yet."""
    if not lake.exists(contract.published_name):
        return pl.DataFrame(schema=ASSIGNMENT_SCHEMA)
    rows = lake.read(contract.published_name)
    # Entries of an older release, before the first decision of this one adds its columns to the table.
    later = [pl.lit(None).alias(name) for name in ASSIGNMENT_SCHEMA if name not in rows.columns]
    return rows.with_columns(later).select(list(ASSIGNMENT_SCHEMA)).cast(dict(ASSIGNMENT_SCHEMA)).sort("entry_number")  # type: ignore[arg-type]


def add_entries(lake: Lake, contract: Contract, entries: pl.DataFrame) -> str:
    """Add entries that follow those of the log, in one commit; the same entries again change nothing.

    Returns:
        The batch, named by the content of its entries.

    Raises:
        Locked: another run writes to the lake. Refused: the log has moved on since the entries were made.
    """
    lake.claim()
    batch = hashlib.sha256(entries.write_json().encode()).hexdigest()[:16]
    named = entries.with_columns(batch_id=pl.lit(batch))
    log = read_log(lake, contract).filter(pl.col("batch_id") != batch)
    standing(pl.concat([log, named]))
    first, last = entries["entry_number"].min(), entries["entry_number"].max()
    # Replacing the numbers of this batch alone adds them, and adds them once.
    lake.write(contract, named, Provenance(CODE), f"entry_number BETWEEN {first} AND {last}")
    return batch
